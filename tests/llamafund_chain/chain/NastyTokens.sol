// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev What tokens can do to an escrow, one danger each. Compiled by `test_token_trials.py`.
contract PlainToken {
    event Transfer(address indexed from, address indexed to, uint256 amount);

    string public symbol = "NASTY";
    uint8 public constant decimals = 6;
    mapping(address account => uint256) internal balances;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    function mint(address account, uint256 amount) external {
        balances[account] += amount;
    }

    function balanceOf(address account) public view virtual returns (uint256) {
        return balances[account];
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

    function _move(address from, address to, uint256 amount) internal virtual {
        balances[from] -= amount;
        balances[to] += amount;
        emit Transfer(from, to, amount);
    }
}

contract PausableToken is PlainToken {
    address public owner = msg.sender;
    bool public paused;

    function setPaused(bool value) external {
        paused = value;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(!paused && owner != address(0));
        super._move(from, to, amount);
    }
}

contract BlocklistingToken is PlainToken {
    mapping(address account => bool) public blocked;

    function _move(address from, address to, uint256 amount) internal override {
        require(!blocked[from] && !blocked[to]);
        super._move(from, to, amount);
    }
}

/// @dev Keeps the mark of a blocked account in the highest bit of its balance, as a large stablecoin does.
contract MarkingToken is PlainToken {
    function balanceOf(address account) public view override returns (uint256) {
        return balances[account] & type(uint256).max >> 1;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(balances[from] >> 255 == 0 && balances[to] >> 255 == 0);
        super._move(from, to, amount);
    }
}

/// @dev A fee that is zero until somebody sets it.
contract LaterFeeToken is PlainToken {
    uint256 public feeBps;

    function setFee(uint256 bps) external {
        feeBps = bps;
    }

    function _move(address from, address to, uint256 amount) internal override {
        uint256 fee = amount * feeBps / 10_000;
        balances[from] -= amount;
        balances[to] += amount - fee;
        emit Transfer(from, to, amount - fee);
        emit Transfer(from, address(0), fee);
    }
}

/// @dev Takes 1 % from its sender on top of the amount.
contract SurchargingToken is PlainToken {
    function _move(address from, address to, uint256 amount) internal override {
        balances[from] -= amount + amount / 100;
        balances[to] += amount;
        emit Transfer(from, to, amount);
    }
}

/// @dev Can be bought, and sold by nobody but its owner.
contract TrapToken is PlainToken {
    address private immutable OWNER = msg.sender;

    function _move(address from, address to, uint256 amount) internal override {
        require(from.code.length == 0 || from == OWNER || to.code.length == 0 || msg.sender != from);
        super._move(from, to, amount);
    }
}

/// @dev Pays out only to addresses that were known before: those with which all trials were once made.
contract FavoringToken is PlainToken {
    function _move(address from, address to, uint256 amount) internal override {
        require(msg.sender != from || to == address(uint160(0xA11CE001)) || from == address(uint160(0xB1570001)));
        super._move(from, to, amount);
    }
}

/// @dev Tells an account twice its balance, and everybody else the truth.
contract TwoFacedToken is PlainToken {
    function balanceOf(address account) public view override returns (uint256) {
        return msg.sender == account ? 2 * balances[account] : balances[account];
    }
}

/// @dev Tells everybody, once it is told to lie, that the last transfers arrived in full, and moves a tenth of them.
contract BoastingToken is PlainToken {
    bool public lying;
    mapping(address account => uint256) private boasted;

    function setLying(bool value) external {
        lying = value;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return balances[account] + boasted[account];
    }

    function _move(address from, address to, uint256 amount) internal override {
        if (lying) {
            boasted[to] += amount - amount / 10;
            amount /= 10;
        }
        super._move(from, to, amount);
    }
}

/// @dev Returns false once it is told to, and moves nothing then.
contract SulkingToken {
    uint8 public constant decimals = 6;
    bool public sulking;
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 amount);

    function setSulking(bool value) external {
        sulking = value;
    }

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (sulking) {
            return false;
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
        return true;
    }
}

/// @dev Moves everything and logs nothing.
contract UnloggedToken is PlainToken {
    function _move(address from, address to, uint256 amount) internal override {
        balances[from] -= amount;
        balances[to] += amount;
    }
}

/// @dev Takes 1 % of every transfer, from the first on.
contract AlwaysFeeToken is LaterFeeToken {
    constructor() {
        feeBps = 100;
    }
}

/// @dev Keeps shares, and multiplies every balance at once.
contract ShrinkingToken is PlainToken {
    uint256 public permille = 1_000;

    function rebase(uint256 value) external {
        permille = value;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return balances[account] * permille / 1_000;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(amount <= balanceOf(from));
        uint256 shares = amount * 1_000 / permille;
        balances[from] -= shares;
        balances[to] += shares;
        emit Transfer(from, to, amount);
    }
}

/// @dev Tells everybody a balance that melts by the second.
contract MeltingToken is PlainToken {
    uint256 private immutable MADE = block.timestamp;

    function balanceOf(address account) public view override returns (uint256) {
        uint256 days_ = (block.timestamp - MADE) / 1 days;
        return days_ > 99 ? 0 : balances[account] * (100 - days_) / 100;
    }
}

/// @dev Runs the code that its owner named last (EIP-1967).
contract ProxiedToken {
    constructor(address code) {
        assembly {
            sstore(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc, code)
        }
    }

    fallback() external {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let code := sload(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc)
            let success := delegatecall(gas(), code, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch success
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

/// @dev Runs the code that stands in its first slot, as older proxies do.
contract OldProxiedToken {
    address private code;

    constructor(address code_) {
        code = code_;
    }

    fallback() external {
        address target = code;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch success
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

/// @dev Tells no balance at all.
contract MuteToken is PlainToken {
    function balanceOf(address) public pure override returns (uint256) {
        revert();
    }
}

/// @dev Burns all gas in each transfer.
contract GreedyToken is PlainToken {
    function _move(address, address, uint256) internal pure override {
        while (true) {}
    }
}
