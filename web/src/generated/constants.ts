// Made by scripts/export_web.py. Do not edit.

export const PROJECT = "LlamaFund" as const;

export const FACTORY = "0xfA2db4286E04F99D545B6AF7Df1F3D1aF572BE38" as const;

export const IMPLEMENTATION = "0xFDB453e6f540263cCe2240630e603ca7baaB2C35" as const;

export const FACTORY_CODE_HASH = "0xe0930908c1b465eea5e9ef04ed357f3da5b36f00f7aeabedc27d3573c8b45ca0" as const;

export const IMPLEMENTATION_CODE_HASH = "0x8e79381d24b4b34e30832c37d95fa010aa6ac2b5adbc2754b14264936f2fb0ee" as const;

export const CLONE_CREATION = "0x3d81600a3d39f3363d3d373d3d3d363d73fdb453e6f540263cce2240630e603ca7baab2c355af43d82803e903d91602b57fd5bf3" as const;

export const CLONE_BYTES = 45 as const;

export const DOMAIN_NAME = "LlamaFund Campaign" as const;

export const DOMAIN_VERSION = "1" as const;

export const BPS = 10000 as const;

export const DAY = 86400 as const;

export const VOTE_DELAY = 86400 as const;

export const NO_MINIMUM = "-9223372036854775808" as const;

export const MAX_ATTESTORS = 16 as const;

export const MAX_PAYEES = 8 as const;

export const MAX_MILESTONES = 16 as const;

export const MIN_BOND = "1000000000000" as const;

export const CHUNK_SIZE = 16384 as const;

export const LEAF_SIZE = 262144 as const;

export const FANOUT = 174 as const;

export const MAX_MANIFEST_BYTES = 262144 as const;

export const MAX_REVIEW_CHARACTERS = 20000 as const;

export const MAX_REPORT_BYTES = 50331648 as const;

export const ANSWER_GAS = 377020 as const;

export const ANSWER_BYTES = 17444 as const;

export const ANSWER_ZEROS = 257 as const;

export const UNIFORM = "8000000" as const;

export const ENGLISH = "4649673" as const;

export const TEST_CHAINS = [
 31337,
 1337
] as const;

export const KNOWN_ACCOUNTS = {
 "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266": "alice",
 "0x70997970C51812dc3A010C7d01b50e0d17dc79C8": "bob",
 "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC": "carol",
 "0x90F79bf6EB2c4f870365E785982E1f101E93b906": "rosa",
 "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65": "tara",
 "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc": "vera",
 "0x976EA74026E726554dB657fA54763abd0C3a0aa9": "otto",
 "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955": "audrey",
 "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f": "judy",
 "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720": "pia"
} as const;

export const FIRST_BLOCKS = {} as const;
