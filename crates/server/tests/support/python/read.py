"""What PyJWT reads in a token by a published set of keys. The times are held against the clock given, not the machine's."""

import json
import sys

import jwt

given = json.load(sys.stdin)
head = jwt.get_unverified_header(given["token"])
[key] = [key for key in jwt.PyJWKSet.from_dict(given["jwks"]).keys if key.key_id == head["kid"]]
options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["exp", "iat", "iss", "aud", "sub"]}
said = jwt.decode(given["token"], key, algorithms=[given["alg"]], audience=given["aud"], issuer=given["iss"], options=options)
assert said["iat"] <= given["now"] < said["exp"], said
json.dump([head, said], sys.stdout)
