// Made by scripts/export_web.py. Do not edit.

export const DOMAIN_TYPE = [
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
 }
] as const;

export const ATTESTATION_TYPES = {
 "MilestoneAttestation": [
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
 ]
} as const;

export const REVIEW_TYPES = {
 "Review": [
  {
   "name": "proposal",
   "type": "bytes32"
  },
  {
   "name": "written",
   "type": "uint64"
  },
  {
   "name": "text",
   "type": "string"
  }
 ]
} as const;
