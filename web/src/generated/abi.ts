// Made by scripts/export_web.py. Do not edit.

export const campaignAbi = [
 {
  "inputs": [
   {
    "name": "chunk",
    "type": "uint256"
   }
  ],
  "name": "Campaign_AlreadyChallenged",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_AlreadyContested",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "expiry",
    "type": "uint256"
   }
  ],
  "name": "Campaign_AttestationExpired",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "contentRoot",
    "type": "bytes32"
   },
   {
    "name": "contentSize",
    "type": "uint256"
   }
  ],
  "name": "Campaign_BadContent",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "recipient",
    "type": "address"
   }
  ],
  "name": "Campaign_BadRecipient",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "attestor",
    "type": "address"
   }
  ],
  "name": "Campaign_BadSignature",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "max",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "Campaign_BondTooLarge",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "Campaign_BondTooSmall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "cap",
    "type": "uint256"
   },
   {
    "name": "wouldBe",
    "type": "uint256"
   }
  ],
  "name": "Campaign_CapExceeded",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "answerBy",
    "type": "uint256"
   }
  ],
  "name": "Campaign_ChallengeOpen",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "chunks",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "Campaign_ChunkOutOfRange",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_EmptyEvidence",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "fundingDeadline",
    "type": "uint256"
   }
  ],
  "name": "Campaign_FundingOpen",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "fundingDeadline",
    "type": "uint256"
   }
  ],
  "name": "Campaign_FundingOver",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "goal",
    "type": "uint256"
   },
   {
    "name": "wouldBe",
    "type": "uint256"
   }
  ],
  "name": "Campaign_GoalLocked",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "goal",
    "type": "uint256"
   },
   {
    "name": "pledged",
    "type": "uint256"
   }
  ],
  "name": "Campaign_GoalNotMet",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_NoChallengeOpen",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_NotAClone",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   }
  ],
  "name": "Campaign_NotArbiter",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   }
  ],
  "name": "Campaign_NotBacker",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   },
   {
    "name": "chunk",
    "type": "uint256"
   }
  ],
  "name": "Campaign_NotChallenger",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_NotContested",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "expected",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "Campaign_NotNextChallenge",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   },
   {
    "name": "payee",
    "type": "uint256"
   }
  ],
  "name": "Campaign_NotPayee",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   }
  ],
  "name": "Campaign_NotResearcher",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_NothingToClaim",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_NothingToContest",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   }
  ],
  "name": "Campaign_NothingToRefund",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "pledged",
    "type": "uint256"
   },
   {
    "name": "requested",
    "type": "uint256"
   }
  ],
  "name": "Campaign_PledgeTooSmall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "quorum",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "Campaign_QuorumNotMet",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "minScore",
    "type": "int256"
   },
   {
    "name": "actual",
    "type": "int256"
   }
  ],
  "name": "Campaign_ScoreTooLow",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "slack",
    "type": "uint256"
   },
   {
    "name": "wouldBe",
    "type": "uint256"
   }
  ],
  "name": "Campaign_SlackExceeded",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "signers",
    "type": "uint256"
   }
  ],
  "name": "Campaign_UnknownSigner",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "support",
    "type": "bool"
   }
  ],
  "name": "Campaign_VoteUnchanged",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_VotingClosed",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "opensAt",
    "type": "uint256"
   }
  ],
  "name": "Campaign_VotingNotOpen",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "endsAt",
    "type": "uint256"
   }
  ],
  "name": "Campaign_WindowOpen",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "endedAt",
    "type": "uint256"
   }
  ],
  "name": "Campaign_WindowOver",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "asset",
    "type": "address"
   }
  ],
  "name": "Campaign_WrongAsset",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "chunk",
    "type": "uint256"
   }
  ],
  "name": "Campaign_WrongChunk",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "contentRoot",
    "type": "bytes32"
   },
   {
    "name": "contentSize",
    "type": "uint256"
   }
  ],
  "name": "Campaign_WrongContent",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "expected",
    "type": "bytes32"
   },
   {
    "name": "actual",
    "type": "bytes32"
   }
  ],
  "name": "Campaign_WrongDataset",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "expected",
    "type": "uint8"
   },
   {
    "name": "actual",
    "type": "uint8"
   }
  ],
  "name": "Campaign_WrongKind",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "expected",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "Campaign_WrongMilestone",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "expected",
    "type": "bytes32"
   },
   {
    "name": "actual",
    "type": "bytes32"
   }
  ],
  "name": "Campaign_WrongParent",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "actual",
    "type": "uint8"
   }
  ],
  "name": "Campaign_WrongStatus",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Campaign_ZeroAmount",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "FailedCall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "balance",
    "type": "uint256"
   },
   {
    "name": "needed",
    "type": "uint256"
   }
  ],
  "name": "InsufficientBalance",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "ReentrancyGuardReentrantCall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "token",
    "type": "address"
   }
  ],
  "name": "SafeERC20FailedOperation",
  "type": "error"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": false,
    "name": "pledged",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "trainingSeed",
    "type": "bytes32"
   }
  ],
  "name": "Activated",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "milestone",
    "type": "uint8"
   },
   {
    "indexed": true,
    "name": "chunk",
    "type": "uint64"
   },
   {
    "indexed": true,
    "name": "challenger",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "recipient",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "bond",
    "type": "uint256"
   }
  ],
  "name": "BondReturned",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "milestone",
    "type": "uint8"
   },
   {
    "indexed": true,
    "name": "chunk",
    "type": "uint64"
   },
   {
    "indexed": true,
    "name": "answerer",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "bond",
    "type": "uint256"
   }
  ],
  "name": "ChallengeAnswered",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "milestone",
    "type": "uint8"
   },
   {
    "indexed": true,
    "name": "chunk",
    "type": "uint64"
   },
   {
    "indexed": true,
    "name": "challenger",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "bond",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "answerBy",
    "type": "uint256"
   }
  ],
  "name": "Challenged",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "payee",
    "type": "uint256"
   },
   {
    "indexed": true,
    "name": "recipient",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "amount",
    "type": "uint256"
   }
  ],
  "name": "Claimed",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": false,
    "name": "ruleBy",
    "type": "uint256"
   }
  ],
  "name": "Contested",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": false,
    "name": "bySeconds",
    "type": "uint32"
   },
   {
    "indexed": false,
    "name": "slackUsed",
    "type": "uint32"
   }
  ],
  "name": "DeadlinesExtended",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [],
  "name": "EIP712DomainChanged",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "milestone",
    "type": "uint8"
   },
   {
    "indexed": true,
    "name": "evidence",
    "type": "bytes32"
   },
   {
    "components": [
     {
      "name": "milestone",
      "type": "uint8"
     },
     {
      "name": "kind",
      "type": "uint8"
     },
     {
      "name": "evidence",
      "type": "bytes32"
     },
     {
      "name": "parent",
      "type": "bytes32"
     },
     {
      "name": "contentRoot",
      "type": "bytes32"
     },
     {
      "name": "contentSize",
      "type": "uint64"
     },
     {
      "name": "score",
      "type": "int64"
     },
     {
      "name": "expiry",
      "type": "uint64"
     }
    ],
    "indexed": false,
    "name": "attestation",
    "type": "tuple"
   },
   {
    "indexed": false,
    "name": "signers",
    "type": "uint256"
   }
  ],
  "name": "MilestoneAttested",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "backer",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "payer",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "amount",
    "type": "uint256"
   }
  ],
  "name": "Pledged",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "backer",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "recipient",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "amount",
    "type": "uint256"
   }
  ],
  "name": "Refunded",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": false,
    "name": "upheld",
    "type": "bool"
   }
  ],
  "name": "Ruled",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "backer",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "support",
    "type": "bool"
   },
   {
    "indexed": false,
    "name": "weight",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "totalSupport",
    "type": "uint256"
   }
  ],
  "name": "StopVoted",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": false,
    "name": "totalSupport",
    "type": "uint256"
   }
  ],
  "name": "Stopped",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "backer",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "recipient",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "amount",
    "type": "uint256"
   }
  ],
  "name": "Unpledged",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "manifest",
    "type": "bytes32"
   }
  ],
  "name": "UpdatePosted",
  "type": "event"
 },
 {
  "inputs": [],
  "name": "activate",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "contentRoot",
    "type": "bytes32"
   },
   {
    "name": "contentSize",
    "type": "uint64"
   },
   {
    "name": "chunk",
    "type": "uint64"
   },
   {
    "name": "data",
    "type": "bytes"
   },
   {
    "name": "path",
    "type": "bytes32[]"
   }
  ],
  "name": "answer",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "components": [
     {
      "name": "milestone",
      "type": "uint8"
     },
     {
      "name": "kind",
      "type": "uint8"
     },
     {
      "name": "evidence",
      "type": "bytes32"
     },
     {
      "name": "parent",
      "type": "bytes32"
     },
     {
      "name": "contentRoot",
      "type": "bytes32"
     },
     {
      "name": "contentSize",
      "type": "uint64"
     },
     {
      "name": "score",
      "type": "int64"
     },
     {
      "name": "expiry",
      "type": "uint64"
     }
    ],
    "name": "attestation",
    "type": "tuple"
   },
   {
    "name": "signers",
    "type": "uint256"
   },
   {
    "name": "signatures",
    "type": "bytes[]"
   }
  ],
  "name": "attest",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "components": [
     {
      "name": "milestone",
      "type": "uint8"
     },
     {
      "name": "kind",
      "type": "uint8"
     },
     {
      "name": "evidence",
      "type": "bytes32"
     },
     {
      "name": "parent",
      "type": "bytes32"
     },
     {
      "name": "contentRoot",
      "type": "bytes32"
     },
     {
      "name": "contentSize",
      "type": "uint64"
     },
     {
      "name": "score",
      "type": "int64"
     },
     {
      "name": "expiry",
      "type": "uint64"
     }
    ],
    "name": "attestation",
    "type": "tuple"
   }
  ],
  "name": "attestationDigest",
  "outputs": [
   {
    "name": "",
    "type": "bytes32"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "contentRoot",
    "type": "bytes32"
   },
   {
    "name": "contentSize",
    "type": "uint64"
   },
   {
    "name": "chunk",
    "type": "uint64"
   }
  ],
  "name": "challenge",
  "outputs": [],
  "stateMutability": "payable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "payee",
    "type": "uint256"
   },
   {
    "name": "recipient",
    "type": "address"
   }
  ],
  "name": "claim",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "payee",
    "type": "uint256"
   }
  ],
  "name": "claimable",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "payee",
    "type": "uint256"
   }
  ],
  "name": "claimed",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   }
  ],
  "name": "collectRefund",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "contest",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "milestone",
    "type": "uint256"
   }
  ],
  "name": "deadlineOf",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "eip712Domain",
  "outputs": [
   {
    "name": "fields",
    "type": "bytes1"
   },
   {
    "name": "name",
    "type": "string"
   },
   {
    "name": "version",
    "type": "string"
   },
   {
    "name": "chainId",
    "type": "uint256"
   },
   {
    "name": "verifyingContract",
    "type": "address"
   },
   {
    "name": "salt",
    "type": "bytes32"
   },
   {
    "name": "extensions",
    "type": "uint256[]"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "bySeconds",
    "type": "uint32"
   }
  ],
  "name": "extendDeadlines",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   }
  ],
  "name": "hasVotedStop",
  "outputs": [
   {
    "name": "",
    "type": "bool"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "latestContent",
  "outputs": [
   {
    "name": "",
    "type": "bytes32"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "latestEvidence",
  "outputs": [
   {
    "name": "",
    "type": "bytes32"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "ledger",
  "outputs": [
   {
    "components": [
     {
      "name": "pledged",
      "type": "uint128"
     },
     {
      "name": "attestedAt",
      "type": "uint40"
     },
     {
      "name": "challengedAt",
      "type": "uint40"
     },
     {
      "name": "slackUsed",
      "type": "uint32"
     },
     {
      "name": "attested",
      "type": "uint8"
     },
     {
      "name": "active",
      "type": "bool"
     },
     {
      "name": "stopped",
      "type": "bool"
     },
     {
      "name": "withheld",
      "type": "bool"
     },
     {
      "name": "contested",
      "type": "bool"
     }
    ],
    "name": "",
    "type": "tuple"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "position",
    "type": "uint256"
   }
  ],
  "name": "openChallenge",
  "outputs": [
   {
    "components": [
     {
      "name": "chunk",
      "type": "uint64"
     },
     {
      "name": "openedAt",
      "type": "uint40"
     },
     {
      "name": "challenger",
      "type": "address"
     },
     {
      "name": "bond",
      "type": "uint96"
     }
    ],
    "name": "",
    "type": "tuple"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "openChallenges",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   }
  ],
  "name": "pledgeCoin",
  "outputs": [],
  "stateMutability": "payable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   }
  ],
  "name": "pledgeOf",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   },
   {
    "name": "amount",
    "type": "uint256"
   }
  ],
  "name": "pledgeToken",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   },
   {
    "name": "amount",
    "type": "uint256"
   },
   {
    "name": "deadline",
    "type": "uint256"
   },
   {
    "name": "v",
    "type": "uint8"
   },
   {
    "name": "r",
    "type": "bytes32"
   },
   {
    "name": "s",
    "type": "bytes32"
   }
  ],
  "name": "pledgeTokenWithPermit",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "manifest",
    "type": "bytes32"
   }
  ],
  "name": "postUpdate",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "recipient",
    "type": "address"
   }
  ],
  "name": "refundTo",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "backer",
    "type": "address"
   }
  ],
  "name": "refundable",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "released",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "requiredBond",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "chunk",
    "type": "uint64"
   },
   {
    "name": "recipient",
    "type": "address"
   }
  ],
  "name": "returnBond",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "upheld",
    "type": "bool"
   }
  ],
  "name": "rule",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "status",
  "outputs": [
   {
    "name": "",
    "type": "uint8"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "stopSupport",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "terms",
  "outputs": [
   {
    "components": [
     {
      "name": "researcher",
      "type": "address"
     },
     {
      "name": "asset",
      "type": "address"
     },
     {
      "name": "goal",
      "type": "uint128"
     },
     {
      "name": "cap",
      "type": "uint128"
     },
     {
      "name": "fundingDeadline",
      "type": "uint40"
     },
     {
      "name": "stopBps",
      "type": "uint16"
     },
     {
      "name": "challengeWindow",
      "type": "uint32"
     },
     {
      "name": "answerWindow",
      "type": "uint32"
     },
     {
      "name": "minBond",
      "type": "uint96"
     },
     {
      "name": "slack",
      "type": "uint32"
     },
     {
      "name": "proposal",
      "type": "bytes32"
     },
     {
      "name": "dataset",
      "type": "bytes32"
     },
     {
      "name": "attestors",
      "type": "address[]"
     },
     {
      "name": "quorum",
      "type": "uint8"
     },
     {
      "components": [
       {
        "name": "account",
        "type": "address"
       },
       {
        "name": "bps",
        "type": "uint16"
       }
      ],
      "name": "payees",
      "type": "tuple[]"
     },
     {
      "components": [
       {
        "name": "kind",
        "type": "uint8"
       },
       {
        "name": "bps",
        "type": "uint16"
       },
       {
        "name": "deadline",
        "type": "uint40"
       },
       {
        "name": "minScore",
        "type": "int64"
       }
      ],
      "name": "milestones",
      "type": "tuple[]"
     },
     {
      "name": "arbiter",
      "type": "address"
     },
     {
      "name": "rulingWindow",
      "type": "uint32"
     }
    ],
    "name": "",
    "type": "tuple"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "trainingSeed",
  "outputs": [
   {
    "name": "",
    "type": "bytes32"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "amount",
    "type": "uint256"
   },
   {
    "name": "recipient",
    "type": "address"
   }
  ],
  "name": "unpledge",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "support",
    "type": "bool"
   }
  ],
  "name": "voteStop",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "votesFrom",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 }
] as const;

export const factoryAbi = [
 {
  "inputs": [
   {
    "name": "implementation_",
    "type": "address"
   }
  ],
  "stateMutability": "nonpayable",
  "type": "constructor"
 },
 {
  "inputs": [
   {
    "name": "asset",
    "type": "address"
   }
  ],
  "name": "CampaignFactory_AssetWithoutCode",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "actual",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadAnswerWindow",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "actual",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadChallengeWindow",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "deadline",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadFundingDeadline",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "goal",
    "type": "uint256"
   },
   {
    "name": "cap",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadGoal",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "quorum",
    "type": "uint256"
   },
   {
    "name": "attestors",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadQuorum",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "actual",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadRulingWindow",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "bps",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BadStopBps",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "actual",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_BondTooSmall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "index",
    "type": "uint256"
   },
   {
    "name": "deadline",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_DeadlineTooEarly",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "deadline",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_DeadlineTooLate",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "attestor",
    "type": "address"
   }
  ],
  "name": "CampaignFactory_DuplicateAttestor",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "index",
    "type": "uint256"
   },
   {
    "name": "kind",
    "type": "uint8"
   }
  ],
  "name": "CampaignFactory_KindOrder",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "kind",
    "type": "uint8"
   }
  ],
  "name": "CampaignFactory_LastNotWeights",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "sumBps",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_MilestoneBpsNotWhole",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CampaignFactory_NoAttestor",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CampaignFactory_NoMilestone",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CampaignFactory_NoPayee",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   },
   {
    "name": "researcher",
    "type": "address"
   }
  ],
  "name": "CampaignFactory_NotResearcher",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "sumBps",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_PayeeBpsNotWhole",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "slack",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_SlackTooLong",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "count",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_TooManyAttestors",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "count",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_TooManyMilestones",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "count",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_TooManyPayees",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "bps",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_WeightsBpsTooSmall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "index",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_ZeroAttestor",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "index",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_ZeroMilestoneBps",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "index",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_ZeroPayee",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "index",
    "type": "uint256"
   }
  ],
  "name": "CampaignFactory_ZeroPayeeBps",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CampaignFactory_ZeroProposal",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CloneArgumentsTooLong",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "Create2EmptyBytecode",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "FailedDeployment",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "balance",
    "type": "uint256"
   },
   {
    "name": "needed",
    "type": "uint256"
   }
  ],
  "name": "InsufficientBalance",
  "type": "error"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "campaign",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "researcher",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "proposal",
    "type": "bytes32"
   },
   {
    "indexed": false,
    "name": "terms",
    "type": "bytes"
   },
   {
    "indexed": false,
    "name": "salt",
    "type": "bytes32"
   }
  ],
  "name": "CampaignCreated",
  "type": "event"
 },
 {
  "inputs": [],
  "name": "MAX_ANSWER_WINDOW",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_ATTESTORS",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_CAMPAIGN_PERIOD",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_CHALLENGE_WINDOW",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_FUNDING_PERIOD",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_MILESTONES",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_PAYEES",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_RULING_WINDOW",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_SLACK",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MAX_STOP_BPS",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MIN_ANSWER_WINDOW",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MIN_BOND",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MIN_CHALLENGE_WINDOW",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MIN_RULING_WINDOW",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MIN_STOP_BPS",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "MIN_WEIGHTS_BPS",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "components": [
     {
      "name": "researcher",
      "type": "address"
     },
     {
      "name": "asset",
      "type": "address"
     },
     {
      "name": "goal",
      "type": "uint128"
     },
     {
      "name": "cap",
      "type": "uint128"
     },
     {
      "name": "fundingDeadline",
      "type": "uint40"
     },
     {
      "name": "stopBps",
      "type": "uint16"
     },
     {
      "name": "challengeWindow",
      "type": "uint32"
     },
     {
      "name": "answerWindow",
      "type": "uint32"
     },
     {
      "name": "minBond",
      "type": "uint96"
     },
     {
      "name": "slack",
      "type": "uint32"
     },
     {
      "name": "proposal",
      "type": "bytes32"
     },
     {
      "name": "dataset",
      "type": "bytes32"
     },
     {
      "name": "attestors",
      "type": "address[]"
     },
     {
      "name": "quorum",
      "type": "uint8"
     },
     {
      "components": [
       {
        "name": "account",
        "type": "address"
       },
       {
        "name": "bps",
        "type": "uint16"
       }
      ],
      "name": "payees",
      "type": "tuple[]"
     },
     {
      "components": [
       {
        "name": "kind",
        "type": "uint8"
       },
       {
        "name": "bps",
        "type": "uint16"
       },
       {
        "name": "deadline",
        "type": "uint40"
       },
       {
        "name": "minScore",
        "type": "int64"
       }
      ],
      "name": "milestones",
      "type": "tuple[]"
     },
     {
      "name": "arbiter",
      "type": "address"
     },
     {
      "name": "rulingWindow",
      "type": "uint32"
     }
    ],
    "name": "terms",
    "type": "tuple"
   },
   {
    "name": "salt",
    "type": "bytes32"
   }
  ],
  "name": "createCampaign",
  "outputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "implementation",
  "outputs": [
   {
    "name": "",
    "type": "address"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   },
   {
    "name": "salt",
    "type": "bytes32"
   }
  ],
  "name": "isCampaign",
  "outputs": [
   {
    "name": "",
    "type": "bool"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "components": [
     {
      "name": "researcher",
      "type": "address"
     },
     {
      "name": "asset",
      "type": "address"
     },
     {
      "name": "goal",
      "type": "uint128"
     },
     {
      "name": "cap",
      "type": "uint128"
     },
     {
      "name": "fundingDeadline",
      "type": "uint40"
     },
     {
      "name": "stopBps",
      "type": "uint16"
     },
     {
      "name": "challengeWindow",
      "type": "uint32"
     },
     {
      "name": "answerWindow",
      "type": "uint32"
     },
     {
      "name": "minBond",
      "type": "uint96"
     },
     {
      "name": "slack",
      "type": "uint32"
     },
     {
      "name": "proposal",
      "type": "bytes32"
     },
     {
      "name": "dataset",
      "type": "bytes32"
     },
     {
      "name": "attestors",
      "type": "address[]"
     },
     {
      "name": "quorum",
      "type": "uint8"
     },
     {
      "components": [
       {
        "name": "account",
        "type": "address"
       },
       {
        "name": "bps",
        "type": "uint16"
       }
      ],
      "name": "payees",
      "type": "tuple[]"
     },
     {
      "components": [
       {
        "name": "kind",
        "type": "uint8"
       },
       {
        "name": "bps",
        "type": "uint16"
       },
       {
        "name": "deadline",
        "type": "uint40"
       },
       {
        "name": "minScore",
        "type": "int64"
       }
      ],
      "name": "milestones",
      "type": "tuple[]"
     },
     {
      "name": "arbiter",
      "type": "address"
     },
     {
      "name": "rulingWindow",
      "type": "uint32"
     }
    ],
    "name": "terms",
    "type": "tuple"
   },
   {
    "name": "salt",
    "type": "bytes32"
   }
  ],
  "name": "predictCampaign",
  "outputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 }
] as const;

export const courtArbiterAbi = [
 {
  "inputs": [
   {
    "name": "factory_",
    "type": "address"
   },
   {
    "name": "court_",
    "type": "address"
   },
   {
    "name": "extraData_",
    "type": "bytes"
   },
   {
    "name": "metaEvidence_",
    "type": "string"
   },
   {
    "name": "appealReserve_",
    "type": "uint256"
   }
  ],
  "stateMutability": "nonpayable",
  "type": "constructor"
 },
 {
  "inputs": [
   {
    "name": "disputeId",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_AlreadyDisputed",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "actual",
    "type": "uint256"
   },
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "max",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_BadAppealReserve",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "status",
    "type": "uint8"
   }
  ],
  "name": "CourtArbiter_CampaignEnded",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "disputeId",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_DisputeIdInUse",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CourtArbiter_EmptyEvidence",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "min",
    "type": "uint256"
   },
   {
    "name": "actual",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_FeeTooSmall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "court",
    "type": "address"
   }
  ],
  "name": "CourtArbiter_NoCourt",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "name": "CourtArbiter_NoDispute",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "name": "CourtArbiter_NotACampaign",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   }
  ],
  "name": "CourtArbiter_NotBacker",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "caller",
    "type": "address"
   }
  ],
  "name": "CourtArbiter_NotCourt",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "arbiter",
    "type": "address"
   }
  ],
  "name": "CourtArbiter_NotItsArbiter",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "CourtArbiter_OutOfGas",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "endedAt",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_TooLate",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "endedAt",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_TooLateToAppeal",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "disputeId",
    "type": "uint256"
   }
  ],
  "name": "CourtArbiter_UnknownDispute",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "FailedCall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "balance",
    "type": "uint256"
   },
   {
    "name": "needed",
    "type": "uint256"
   }
  ],
  "name": "InsufficientBalance",
  "type": "error"
 },
 {
  "inputs": [],
  "name": "ReentrancyGuardReentrantCall",
  "type": "error"
 },
 {
  "inputs": [
   {
    "name": "value",
    "type": "uint256"
   },
   {
    "name": "length",
    "type": "uint256"
   }
  ],
  "name": "StringsInsufficientHexLength",
  "type": "error"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "arbitrator",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "disputeId",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "metaEvidenceId",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "evidenceGroupId",
    "type": "uint256"
   }
  ],
  "name": "Dispute",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "arbitrator",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "evidenceGroupId",
    "type": "uint256"
   },
   {
    "indexed": true,
    "name": "party",
    "type": "address"
   },
   {
    "indexed": false,
    "name": "evidence",
    "type": "string"
   }
  ],
  "name": "Evidence",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "metaEvidenceId",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "evidence",
    "type": "string"
   }
  ],
  "name": "MetaEvidence",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "arbitrator",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "disputeId",
    "type": "uint256"
   },
   {
    "indexed": false,
    "name": "ruling",
    "type": "uint256"
   }
  ],
  "name": "Ruling",
  "type": "event"
 },
 {
  "anonymous": false,
  "inputs": [
   {
    "indexed": true,
    "name": "campaign",
    "type": "address"
   },
   {
    "indexed": true,
    "name": "disputeId",
    "type": "uint256"
   }
  ],
  "name": "RulingTooLate",
  "type": "event"
 },
 {
  "inputs": [],
  "name": "REFUSED",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "UPHELD",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "name": "appeal",
  "outputs": [],
  "stateMutability": "payable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "name": "appealFee",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "appealReserve",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "court",
  "outputs": [
   {
    "name": "",
    "type": "address"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   },
   {
    "name": "salt",
    "type": "bytes32"
   },
   {
    "name": "evidence",
    "type": "bytes32"
   }
  ],
  "name": "dispute",
  "outputs": [
   {
    "name": "disputeId",
    "type": "uint256"
   }
  ],
  "stateMutability": "payable",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "disputeFee",
  "outputs": [
   {
    "name": "",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   }
  ],
  "name": "disputeOf",
  "outputs": [
   {
    "name": "open",
    "type": "bool"
   },
   {
    "name": "disputeId",
    "type": "uint256"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "extraData",
  "outputs": [
   {
    "name": "",
    "type": "bytes"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "factory",
  "outputs": [
   {
    "name": "",
    "type": "address"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [],
  "name": "metaEvidence",
  "outputs": [
   {
    "name": "",
    "type": "string"
   }
  ],
  "stateMutability": "view",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "disputeId",
    "type": "uint256"
   },
   {
    "name": "ruling",
    "type": "uint256"
   }
  ],
  "name": "rule",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 },
 {
  "inputs": [
   {
    "name": "campaign",
    "type": "address"
   },
   {
    "name": "evidence",
    "type": "bytes32"
   }
  ],
  "name": "submitEvidence",
  "outputs": [],
  "stateMutability": "nonpayable",
  "type": "function"
 }
] as const;
