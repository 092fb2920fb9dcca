import encodeQR from "qr";
import decodeQR from "qr/decode.js";
import { expect, test } from "vitest";
import { pledgeLink } from "./link";

test("the code says the link, and the link the call", () => {
  const campaign = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
  const backer = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
  const link = pledgeLink(campaign, 10, backer, 5n * 10n ** 17n);
  expect(link).toBe(`ethereum:${campaign}@10/pledgeCoin?address=${backer}&value=500000000000000000`);
  const rows = encodeQR(link, "raw", { ecc: "medium", border: 4, scale: 4 });
  const data = Uint8Array.from(
    rows.flatMap((row) => row.flatMap((dark) => (dark ? [0, 0, 0, 255] : [255, 255, 255, 255]))),
  );
  expect(decodeQR({ width: rows.length, height: rows.length, data })).toBe(link);
});
