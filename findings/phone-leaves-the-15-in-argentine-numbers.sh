#!/usr/bin/env bash
# Expected: a mobile number of Argentina as people write it, 011 15 2345-6789, is +54 9 11 2345-6789 to whoever calls or texts it from a
# program: the 15 is said within the country only, the 9 from outside.
# Guessed: a library without a table for that refuses it.
# Seen (phone 3.1.72): { isValid: true, phoneNumber: "+54111523456789" }, which reaches nobody, and the number in its right form is refused.
# Area codes of three digits likewise. libphonenumber-js 1.13.16 and google-libphonenumber 3.2.47 read both forms and give the right one.
# Landlines it refuses nearly everywhere, as its readme says, and much else that has a prefix: Hungary's 06, Lithuania's 8.
# For Waybill: it has no phone numbers. Who texts riders keeps E.164 and makes it by one of the other two.
# Needs: node and npm, which installs them into a temporary folder.
set -uo pipefail
command -v node npm >/dev/null || { echo "needs node and npm" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 2
npm install --silent --no-fund --no-audit phone@3.1.72 libphonenumber-js@1.13.16 google-libphonenumber@3.2.47 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
cat >numbers.cjs <<'JS'
const { PhoneNumberFormat, PhoneNumberUtil } = require("google-libphonenumber");
const { parsePhoneNumber } = require("libphonenumber-js/max");
const { phone } = require("phone");

let failed = false;
const google = PhoneNumberUtil.getInstance();
const expect = (country, number, wanted, right) => {
  const { isValid, phoneNumber } = phone(number, { country });
  const other = parsePhoneNumber(number, country);
  const parsed = google.parse(number, country);
  const seen = [isValid ? phoneNumber : "refused", other.isValid() ? other.number : "refused",
    google.isValidNumber(parsed) ? google.format(parsed, PhoneNumberFormat.E164) : "refused"];
  console.log(country, number.padEnd(20), `phone ${seen[0]}, the others ${[...new Set(seen.slice(1))].join(" or ")}`);
  failed ||= seen.join() !== [wanted, right, right].join();
};
expect("AR", "011 15 2345-6789", "+54111523456789", "+5491123456789");
expect("AR", "+54 9 11 2345-6789", "refused", "+5491123456789");
expect("AR", "0341 15 234-5678", "+54341152345678", "+5493412345678");
expect("HU", "06 30 123 4567", "refused", "+36301234567");
expect("LT", "8 612 34567", "refused", "+37061234567");
expect("DE", "0151 23456789", "+4915123456789", "+4915123456789");
process.exitCode = failed ? 1 : 0;
JS
echo "phone 3.1.72, libphonenumber-js 1.13.16, google-libphonenumber 3.2.47, node $(node --version)"
node numbers.cjs && { echo "still so"; exit 0; }
echo "this has changed"
exit 1
