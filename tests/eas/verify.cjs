// Verifies off-chain attestations with EAS's own SDK, and prints what it says as JSON.
//
//     node tests/eas/verify.cjs FILE…

// CommonJS: the SDK's modules import a library in a form that Node refuses.

const { readFileSync } = require("node:fs");
const { EAS, Offchain, OffchainAttestationVersion, SchemaEncoder } = require("@ethereum-attestation-service/eas-sdk");

const results = process.argv.slice(2).map((path) => {
  const { sig, signer, schema } = JSON.parse(readFileSync(path, "utf8"));
  const config = { address: sig.domain.verifyingContract, version: sig.domain.version, chainId: BigInt(sig.domain.chainId) };
  const offchain = new Offchain(config, OffchainAttestationVersion.Version2, new EAS(config.address));
  let valid;
  try {
    valid = offchain.verifyOffchainAttestationSignature(signer, sig);
  } catch (error) {
    valid = error.constructor.name;
  }
  const values = new SchemaEncoder(schema).decodeData(sig.message.data);
  return { valid, values: Object.fromEntries(values.map((one) => [one.name, String(one.value.value)])) };
});
console.log(JSON.stringify(results));
