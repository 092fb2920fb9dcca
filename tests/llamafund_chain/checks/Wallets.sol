// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev A wallet of several people, which says so as a Safe does.
contract Several {
    address[] private _owners;
    uint256 public immutable getThreshold;

    constructor(uint256 threshold, address first, address second) {
        getThreshold = threshold;
        _owners.push(first);
        _owners.push(second);
    }

    function getOwners() external view returns (address[] memory) {
        return _owners;
    }
}

/// @dev A contract with one owner.
contract Owned {
    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }
}

/// @dev Says that it has a million owners.
contract Crowd {
    uint256 public constant getThreshold = 1;

    function getOwners() external pure {
        assembly {
            mstore(0, 0x20)
            mstore(0x20, 1000000)
            return(0, 0x40)
        }
    }
}

/// @dev Splits what it gets, and says so as OpenZeppelin's PaymentSplitter does.
contract Splitter {
    address[] private _payees;

    constructor(address first, address second) {
        _payees.push(first);
        _payees.push(second);
    }

    function payee(uint256 index) external view returns (address) {
        return _payees[index];
    }

    receive() external payable {}
}

/// @dev Says nothing about whom it pays, but keeps it in its storage.
contract QuietSplitter {
    uint256 private _count = 1;
    address private _heir;

    constructor(address heir) {
        _heir = heir;
    }

    function pay() external {
        payable(_heir).transfer(address(this).balance);
    }

    receive() external payable {}
}
