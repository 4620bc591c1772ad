"""The check printed in docs/assertions.md, put to assertions on standard input: what it says to each, or why it refuses it.

The program is given in front of this one. The clock it goes by is the one given, not the machine's.
"""

import datetime
import json
import sys

given = json.load(sys.stdin)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(given["now"], tz)


jwt.api_jwt.datetime = Clock
ISSUER = given["iss"]
KEYS = jwt.PyJWKClient(given["jwks"])
answers = []
for assertion, method, target in given["asked"]:
    try:
        answers.append(who_asks(assertion, method, target))
    except jwt.PyJWTError as refused:
        answers.append(f"{type(refused).__name__}: {refused}")
json.dump(answers, sys.stdout)
