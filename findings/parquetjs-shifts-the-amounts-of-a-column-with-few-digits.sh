#!/usr/bin/env bash
# Expected: amounts with two decimals that are written to a column DECIMAL(9, 2) of a Parquet file and read again by the same library are the
# same, in the same rows.
# Guessed: it refuses decimals, as other forks of parquetjs do.
# Seen (@dsnp/parquetjs 1.8.8, 760,000 downloads a month, the last with Node.js 20): it takes them. Up to nine digits it reads each number of
# four bytes as two: 12.50, -0.29, 1.10, 2.30 come back as 12.50, 0, -0.29, -0.01, other amounts in each row, and half of them gone. With
# ten digits and more the rows are right, but it writes what is left of value * 100 at the point: 1.15 is 1.14 in the file, 8.20
# is 8.19, 573 of the amounts from 0.01 to 100.00 a cent less (and -0.29 right). hyparquet 1.33.0 reads the former right, and the latter
# as they were written. Nothing is thrown.
# For Waybill: its amounts are minor units of 64 bits; who puts them into Parquet by this library takes INT64 with a BigInt, which it
# writes and reads exactly.
# Needs: node and npm, which installs both into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit @dsnp/parquetjs@1.8.8 hyparquet@1.33.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
cat >amounts.mjs <<'JS'
import { createRequire } from "node:module";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";

const { ParquetReader, ParquetSchema, ParquetWriter } = createRequire(import.meta.url)("@dsnp/parquetjs");
let failed = false;
const expect = (what, wanted, seen) => {
  console.log(what.padEnd(34), String(seen));
  failed ||= wanted !== String(seen);
};
const write = async (column, amounts) => {
  const writer = await ParquetWriter.openFile(new ParquetSchema({ amount: column }), "amounts.parquet");
  for (const amount of amounts) await writer.appendRow({ amount });
  await writer.close();
};
const read = async () => {
  const reader = await ParquetReader.openFile("amounts.parquet");
  const cursor = reader.getCursor();
  const amounts = [];
  for (let row = await cursor.next(); row; row = await cursor.next()) amounts.push(row.amount);
  await reader.close();
  return amounts;
};
const readByOther = async () => (await parquetReadObjects({ file: await asyncBufferFromFile("amounts.parquet") })).map(({ amount }) => amount);

const decimal = (precision) => ({ type: "DECIMAL", precision, scale: 2 });
await write(decimal(9), [12.5, -0.29, 1.1, 2.5]);
expect("12.5 -0.29 1.1 2.5 as DECIMAL(9, 2)", "12.5 0 -0.29 -0.01", (await read()).join(" "));
expect("  read by hyparquet", "12.5 -0.29 1.1 2.5", (await readByOther()).join(" "));
await write(decimal(18), [1.15, 8.2, 19.99, 12.5]);
expect("1.15 8.2 19.99 12.5 as (18, 2)", "1.14 8.19 19.98 12.5", (await read()).join(" "));
expect("  read by hyparquet", "1.14 8.19 19.98 12.5", (await readByOther()).join(" "));
const all = Array.from({ length: 10000 }, (_, cents) => (cents + 1) / 100);
await write(decimal(18), all);
expect("a cent less, of 0.01 to 100.00", "573", (await read()).filter((amount, row) => Math.round((all[row] - amount) * 100) === 1).length);
await write({ type: "INT64" }, [1250n, 9007199254740993n, -29n]);
expect("as INT64", "1250 9007199254740993 -29", (await read()).join(" "));
process.exitCode = failed ? 1 : 0;
JS
echo "@dsnp/parquetjs 1.8.8, hyparquet 1.33.0, node $(node --version)"
node amounts.mjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
