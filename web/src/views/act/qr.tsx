/** A QR code, drawn as one path: nothing of it is a picture from elsewhere. */

import encodeQR from "qr";

export default function QrCode({ text, label }: { text: string; label: string }) {
  const rows = encodeQR(text, "raw", { ecc: "medium", border: 4 });
  const path = rows.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  return (
    <svg
      class="qr"
      viewBox={`0 0 ${rows.length} ${rows.length}`}
      role="img"
      aria-label={label}
      shape-rendering="crispEdges"
    >
      <title>{label}</title>
      <rect class="qr-paper" width={rows.length} height={rows.length} />
      <path class="qr-ink" d={path} />
    </svg>
  );
}
