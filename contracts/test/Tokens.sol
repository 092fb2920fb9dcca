// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev Takes 1 % of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) {
            super._update(from, to, amount);
            return;
        }
        uint256 fee = amount / 100;
        super._update(from, to, amount - fee);
        super._update(from, address(0), fee);
    }
}

/// @dev Credits a second time what it was asked to move.
contract GenerousToken is ERC20("Generous", "GEN") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) {
            super._update(address(0), to, amount);
        }
    }
}

/// @dev Refuses to pay to or from listed accounts.
contract BlocklistToken is ERC20("Blocklist", "BLK") {
    /// @notice Thrown by a transfer from or to a listed account.
    /// @param account the listed account; the sender where both are listed
    error Blocked(address account);

    mapping(address account => bool) public blocked;

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function setBlocked(address account, bool value) external {
        blocked[account] = value;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (blocked[from] || blocked[to]) {
            revert Blocked(blocked[from] ? from : to);
        }
        super._update(from, to, amount);
    }
}

/// @dev Calls somebody in the middle of each transfer, as ERC-777 does, and passes its failure on.
contract HookToken is ERC20("Hook", "HOOK") {
    address private _target;
    bytes private _data;

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function setHook(address target, bytes calldata data) external {
        _target = target;
        _data = data;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_target != address(0) && from != address(0)) {
            (bool success, bytes memory answer) = _target.call(_data);
            if (!success) {
                assembly ("memory-safe") {
                    revert(add(answer, 0x20), mload(answer))
                }
            }
        }
    }
}

/// @dev Moves balances and returns nothing, as some early tokens do.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev Reports failure by returning false, and moves nothing then.
contract FalseToken {
    bool public failing;
    mapping(address account => uint256) public balanceOf;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function setFailing(bool value) external {
        failing = value;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (failing) {
            return false;
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// @dev Keeps shares and multiplies every balance at once, as staking derivatives do: up, or down after a loss.
contract RebasingToken {
    /// @notice Thrown by a transfer of more than its sender has.
    /// @param account the sender
    /// @param balance units that the sender has
    /// @param amount units asked for
    error BalanceTooSmall(address account, uint256 balance, uint256 amount);

    uint256 private constant ONE = 1e18;

    uint256 public units = ONE;
    mapping(address account => uint256) public sharesOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address account, uint256 amount) external {
        sharesOf[account] += amount * ONE / units;
    }

    /// @param units_ units for each 10**18 shares
    function rebase(uint256 units_) external {
        units = units_;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function balanceOf(address account) public view returns (uint256) {
        return sharesOf[account] * units / ONE;
    }

    function _move(address from, address to, uint256 amount) private {
        if (amount > balanceOf(from)) {
            revert BalanceTooSmall(from, balanceOf(from), amount);
        }
        uint256 shares = amount * ONE / units;
        sharesOf[from] -= shares;
        sharesOf[to] += shares;
    }
}
