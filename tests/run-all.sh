#!/usr/bin/env bash
# Runs every test there is and ends with one line that counts them. Two at a time, for two cores: Python in two halves,
# TypeScript beside them, then the browsers in two halves, each with gateways of its own; after the shorter half a chosen
# set once more, with the gateways' keys in a PKCS#11 token. The browser driver keeps an event loop of its own running,
# which asyncio tests in the same process would stumble over.
set -uo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
status=0

# What touches every kind of key, in one language: a phone bound in two steps, its PIN changed, a rotated agreement key;
# login, payment and payment offline with the gateway killed in the middle.
activation=tests/e2e/test_activation_e2e.py
killed=tests/e2e/test_approvals_every_flow_e2e.py
on_hsm=(
  "$activation::test_customer_binds_a_phone[en-colour-True-False]"
  "$activation::test_phone_changes_its_pin_and_is_removed_on_the_phone"
  tests/e2e/test_moving_key_e2e.py
  "$killed::test_login[gateway killed-en]"
  "$killed::test_payment[gateway killed-en]"
  "$killed::test_offline_by_colour_code[gateway killed-en]"
)

(cd web && npm run --silent test -- --reporter=default --reporter=junit --outputFile="$reports/typescript.xml") \
  >"$reports/typescript.log" 2>&1 &
typescript=$!
"$python" -m pytest tests/contracts tests/attacks --junitxml="$reports/python-contracts-attacks.xml" \
  >"$reports/contracts.log" 2>&1 &
contracts=$!
"$python" -m pytest --ignore=tests/e2e --ignore=tests/contracts --ignore=tests/attacks \
  --junitxml="$reports/python.xml" || status=1
wait "$typescript" || status=1
wait "$contracts" || status=1
cat "$reports/typescript.log" "$reports/contracts.log"

{
  ended=0
  "$python" -m pytest tests/e2e/test_approvals*.py --junitxml="$reports/browsers-approvals.xml" || ended=1
  TESSERA_TEST_HSM=softhsm "$python" -m pytest "${on_hsm[@]}" --junitxml="$reports/browsers-on-softhsm.xml" || ended=1
  exit "$ended"
} >"$reports/approvals.log" 2>&1 &
approvals=$!
"$python" -m pytest tests/e2e --ignore-glob='*/test_approvals*' --junitxml="$reports/browsers.xml" || status=1
wait "$approvals" || status=1
cat "$reports/approvals.log"

"$python" - "$reports" <<'PYTHON' || status=1
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

total = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
print("\nwhat ran")
for report in sorted(Path(sys.argv[1]).glob("*.xml")):
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    counts = dict.fromkeys(total, 0)
    reasons: dict[str, int] = {}
    for suite in suites:
        for key in counts:
            counts[key] += int(suite.get(key, 0))
        for skipped in suite.iter("skipped"):
            reason = skipped.get("message") or "no reason given"
            reasons[reason] = reasons.get(reason, 0) + 1
    print(f"  {report.stem}: {counts['tests']} tests, {counts['skipped']} skipped")
    for reason, number in sorted(reasons.items()):
        print(f"    {number} skipped: {reason}")
    for key in total:
        total[key] += counts[key]
failed = total["failures"] + total["errors"]
passed = total["tests"] - failed - total["skipped"]
print(f"\n{passed} passed, {failed} failed, {total['skipped']} skipped")
sys.exit(1 if failed or not passed else 0)
PYTHON
exit $status
