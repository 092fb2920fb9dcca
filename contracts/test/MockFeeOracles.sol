// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev Stands in for the OP stack's GasPriceOracle: Fjord's formula for data that cannot be compressed, and Isthmus's
/// fee for the operator. A test puts its code at the oracle's address and sets the parameters of a real block.
contract MockGasPriceOracle {
    uint256 private _l1BaseFee;
    uint256 private _blobBaseFee;
    uint256 private _baseFeeScalar;
    uint256 private _blobBaseFeeScalar;
    uint256 private _operatorFeeScalar;
    uint256 private _operatorFeeConstant;

    function set(uint256 l1BaseFee, uint256 blobBaseFee, uint256 baseFeeScalar, uint256 blobBaseFeeScalar) external {
        _l1BaseFee = l1BaseFee;
        _blobBaseFee = blobBaseFee;
        _baseFeeScalar = baseFeeScalar;
        _blobBaseFeeScalar = blobBaseFeeScalar;
    }

    function setOperator(uint256 scalar, uint256 constant_) external {
        _operatorFeeScalar = scalar;
        _operatorFeeConstant = constant_;
    }

    function getL1Fee(bytes calldata transaction) external view returns (uint256) {
        uint256 scaled = 16 * _baseFeeScalar * _l1BaseFee + _blobBaseFeeScalar * _blobBaseFee;
        // FastLZ makes what it cannot compress longer by a length byte for each 32, and 68 bytes stand for the signature.
        uint256 compressed = transaction.length + transaction.length / 32 + 68;
        return (836_500 * compressed - 42_585_600) * scaled / 1e12;
    }

    function getOperatorFee(uint256 gasUsed) external view returns (uint256) {
        return gasUsed * _operatorFeeScalar / 1e6 + _operatorFeeConstant;
    }
}

/// @dev The same before Isthmus, which knows no fee for the operator.
contract MockFjordOracle {
    uint256 private _perByte;

    function set(uint256 perByte) external {
        _perByte = perByte;
    }

    function getL1Fee(bytes calldata transaction) external view returns (uint256) {
        return transaction.length * _perByte;
    }
}

/// @dev Stands in for Arbitrum's NodeInterface: 16 units of L1 gas for each byte, paid in units of L2 gas.
contract MockNodeInterface {
    uint256 private _l1Price;
    uint256 private _l2Price;

    function set(uint256 l1Price, uint256 l2Price) external {
        _l1Price = l1Price;
        _l2Price = l2Price;
    }

    function gasEstimateL1Component(address, bool, bytes calldata data)
        external
        payable
        returns (uint64 gasEstimateForL1, uint256 baseFee, uint256 l1BaseFeeEstimate)
    {
        return (uint64(data.length * 16 * _l1Price / _l2Price), _l2Price, _l1Price);
    }
}

/// @dev A fee contract that cannot be read: it returns nothing.
contract MockSilentOracle {
    fallback() external {}
}
