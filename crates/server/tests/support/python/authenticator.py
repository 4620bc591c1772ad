"""Codes an authenticator shows at the times given, loaded by its address and typed in by its secret."""

import json
import sys

import pyotp

given = json.load(sys.stdin)
loaded = pyotp.parse_uri(given["url"])
typed = pyotp.TOTP(given["secret"])
json.dump(
    {
        "issuer": loaded.issuer,
        "name": loaded.name,
        "digits": loaded.digits,
        "interval": loaded.interval,
        "algorithm": loaded.digest().name,
        "bits": len(loaded.byte_secret()) * 8,
        "loaded": [loaded.at(time) for time in given["times"]],
        "typed": [typed.at(time) for time in given["times"]],
    },
    sys.stdout,
)
