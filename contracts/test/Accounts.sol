// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev A contract account that does what it is told, and answers incoming ether as it was set to.
contract Puppet {
    enum Mood {
        Accept,
        Refuse,
        BurnGas,
        ReturnBomb,
        Reenter
    }

    /// @notice Thrown when coins arrive while the mood is `Refuse`.
    error PuppetRefuses();

    Mood private _mood;
    address private _target;
    bytes private _data;
    /// @notice Whether the call made while receiving went through, and what it answered.
    bool public reentered;
    bytes public answer;

    function setMood(Mood mood) external {
        _mood = mood;
    }

    function setReentry(address target, bytes calldata data) external {
        _mood = Mood.Reenter;
        _target = target;
        _data = data;
    }

    function execute(address target, uint256 value, bytes calldata data) public payable returns (bytes memory) {
        (bool success, bytes memory result) = target.call{value: value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
        return result;
    }

    /// @dev All of them, or none.
    function executeAll(address target, uint256[] calldata values, bytes[] calldata data) external payable {
        for (uint256 i = 0; i < data.length; ++i) {
            execute(target, values[i], data[i]);
        }
    }

    receive() external payable {
        if (_mood == Mood.Refuse) {
            revert PuppetRefuses();
        } else if (_mood == Mood.BurnGas) {
            while (true) {}
        } else if (_mood == Mood.ReturnBomb) {
            assembly ("memory-safe") {
                revert(0, 200000)
            }
        } else if (_mood == Mood.Reenter) {
            (reentered, answer) = _target.call(_data);
        }
    }
}

/// @dev An ERC-1271 wallet that acts when its owner says so, and whose answers about signatures were set beforehand.
contract Wallet is IERC1271 {
    enum Mood {
        Honest,
        YesToEverything,
        NoToEverything,
        BurnGas,
        ReturnBomb,
        ReturnShort,
        ReturnTrue,
        Revert
    }

    /// @notice Thrown when somebody else than the owner gives an order.
    /// @param caller who called
    error NotTheOwner(address caller);

    address private immutable OWNER;
    Mood private _mood;

    constructor(address owner) {
        OWNER = owner;
    }

    receive() external payable {}

    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory) {
        if (msg.sender != OWNER) {
            revert NotTheOwner(msg.sender);
        }
        (bool success, bytes memory result) = target.call{value: value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
        return result;
    }

    function setMood(Mood mood) external {
        _mood = mood;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bytes4 yes = IERC1271.isValidSignature.selector;
        if (_mood == Mood.Honest) {
            (address recovered,,) = ECDSA.tryRecoverCalldata(digest, signature);
            return recovered == OWNER ? yes : bytes4(0);
        } else if (_mood == Mood.YesToEverything) {
            return yes;
        } else if (_mood == Mood.BurnGas) {
            while (true) {}
        } else if (_mood == Mood.ReturnBomb) {
            assembly ("memory-safe") {
                mstore(0, yes)
                return(0, 400000)
            }
        } else if (_mood == Mood.ReturnShort) {
            assembly ("memory-safe") {
                mstore(0, yes)
                return(0, 4)
            }
        } else if (_mood == Mood.ReturnTrue) {
            assembly ("memory-safe") {
                mstore(0, 1)
                return(0, 32)
            }
        } else if (_mood == Mood.Revert) {
            revert();
        }
        return bytes4(0);
    }
}

/// @dev Puts ether where it is not wanted: a contract that ends in its own creation cannot be refused.
contract ForcedEther {
    constructor(address payable target) payable {
        selfdestruct(target);
    }
}

/// @dev Delegates to an implementation with code of its own behind it: a look-alike of a campaign.
contract LookAlikeFactory {
    event Made(address clone);

    function make(bytes calldata code) external returns (address clone) {
        bytes memory initCode = abi.encodePacked(hex"61", uint16(code.length), hex"80600a3d393df3", code);
        assembly ("memory-safe") {
            clone := create(0, add(initCode, 0x20), mload(initCode))
        }
        emit Made(clone);
    }
}
