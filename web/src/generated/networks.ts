// Made by scripts/export_web.py. Do not edit.

export const NETWORKS = {
 "1": {
  "title": "Ethereum",
  "coin": "ETH",
  "explorer": "https://etherscan.io",
  "name": "ethereum"
 },
 "10": {
  "title": "OP Mainnet",
  "coin": "ETH",
  "explorer": "https://optimistic.etherscan.io",
  "name": "optimism"
 },
 "56": {
  "title": "BNB Smart Chain",
  "coin": "BNB",
  "explorer": "https://bscscan.com",
  "name": "bsc"
 },
 "100": {
  "title": "Gnosis",
  "coin": "XDAI",
  "explorer": "https://gnosisscan.io",
  "name": "gnosis"
 },
 "137": {
  "title": "Polygon",
  "coin": "POL",
  "explorer": "https://polygonscan.com",
  "name": "polygon"
 },
 "146": {
  "title": "Sonic",
  "coin": "S",
  "explorer": "https://sonicscan.org",
  "name": "sonic"
 },
 "250": {
  "title": "Fantom",
  "coin": "FTM",
  "explorer": null,
  "name": "fantom"
 },
 "5000": {
  "title": "Mantle",
  "coin": "MNT",
  "explorer": "https://mantlescan.xyz",
  "name": "mantle"
 },
 "8453": {
  "title": "Base",
  "coin": "ETH",
  "explorer": "https://basescan.org",
  "name": "base"
 },
 "10200": {
  "title": "Gnosis Chiado",
  "coin": "XDAI",
  "explorer": "https://gnosis-chiado.blockscout.com",
  "name": "chiado"
 },
 "17000": {
  "title": "Holesky",
  "coin": "ETH",
  "explorer": "https://holesky.etherscan.io",
  "name": "holesky"
 },
 "31337": {
  "title": "Devnet",
  "coin": "ETH",
  "explorer": null,
  "name": "devnet"
 },
 "42161": {
  "title": "Arbitrum One",
  "coin": "ETH",
  "explorer": "https://arbiscan.io",
  "name": "arbitrum"
 },
 "42220": {
  "title": "Celo",
  "coin": "CELO",
  "explorer": "https://celoscan.io",
  "name": "celo"
 },
 "43114": {
  "title": "Avalanche",
  "coin": "AVAX",
  "explorer": "https://snowtrace.io",
  "name": "avalanche"
 },
 "59144": {
  "title": "Linea",
  "coin": "ETH",
  "explorer": "https://lineascan.build",
  "name": "linea"
 },
 "80002": {
  "title": "Polygon Amoy",
  "coin": "POL",
  "explorer": "https://amoy.polygonscan.com",
  "name": "amoy"
 },
 "84532": {
  "title": "Base Sepolia",
  "coin": "ETH",
  "explorer": "https://sepolia.basescan.org",
  "name": "base-sepolia"
 },
 "421614": {
  "title": "Arbitrum Sepolia",
  "coin": "ETH",
  "explorer": "https://sepolia.arbiscan.io",
  "name": "arbitrum-sepolia"
 },
 "534351": {
  "title": "Scroll Sepolia",
  "coin": "ETH",
  "explorer": "https://sepolia.scrollscan.com",
  "name": "scroll-sepolia"
 },
 "534352": {
  "title": "Scroll",
  "coin": "ETH",
  "explorer": "https://scrollscan.com",
  "name": "scroll"
 },
 "560048": {
  "title": "Hoodi",
  "coin": "ETH",
  "explorer": "https://hoodi.etherscan.io",
  "name": "hoodi"
 },
 "11155111": {
  "title": "Sepolia",
  "coin": "ETH",
  "explorer": "https://sepolia.etherscan.io",
  "name": "sepolia"
 },
 "11155420": {
  "title": "OP Sepolia",
  "coin": "ETH",
  "explorer": "https://sepolia-optimism.etherscan.io",
  "name": "optimism-sepolia"
 }
} as const;
