"""Access tokens as a key's owner and a forger would write them, with `cryptography` and PyJWT alone.

Standard input is JSON: the keys tokens are signed with, what a right token says, and how long one may be. Standard
output is, for each key, tokens that are right and tokens that are wrong, by name.
"""

import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Key:
    """A key pair with its id and the one algorithm it is for."""

    def __init__(self, alg, kid, seed=None):
        self.alg, self.kid = alg, kid
        if alg == "EdDSA":
            make = ed25519.Ed25519PrivateKey
            self.private = make.from_private_bytes(seed) if seed else make.generate()
        elif alg == "ES256":
            curve = ec.SECP256R1()
            scalar = int.from_bytes(seed, "big") if seed else None
            self.private = ec.derive_private_key(scalar, curve) if seed else ec.generate_private_key(curve)
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self.private.public_key()

    def sign(self, message, alg=None):
        if self.alg == "EdDSA":
            return self.private.sign(message)
        if self.alg == "ES256":
            r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if alg == "PS256" else padding.PKCS1v15()
        return self.private.sign(message, scheme, hashes.SHA256())

    def jwk(self):
        of = {"EdDSA": jwt.algorithms.OKPAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
        shown = of.get(self.alg, jwt.algorithms.RSAAlgorithm).to_jwk(self.public, as_dict=True)
        shown.pop("key_ops", None)
        return {**shown, "kid": self.kid, "alg": self.alg, "use": "sig"}

    def secrets(self, jwks):
        """Everything public about it that somebody could take for a shared secret."""
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        pem = self.public.public_bytes(serialization.Encoding.PEM, spki)
        jwk = self.jwk()
        yield "its PEM", pem
        yield "its PEM without the last line break", pem.rstrip(b"\n")
        yield "its DER", self.public.public_bytes(serialization.Encoding.DER, spki)
        for name in ("x", "y", "n"):
            if name in jwk:
                yield f"the bytes of {name}", unb64(jwk[name])
                yield f"the text of {name}", jwk[name].encode()
        if self.alg == "ES256":
            point = serialization.PublicFormat.UncompressedPoint
            yield "its point", self.public.public_bytes(serialization.Encoding.X962, point)
        yield "its JWK", compact(jwk)
        yield "the JWKS as served", jwks.encode()
        yield "its id", self.kid.encode()
        yield "nothing", b""


class Forge:
    """Tokens about one key of several."""

    def __init__(self, given, key, others):
        self.given, self.key, self.others = given, key, others
        self.claims = given["claims"]
        self.header = {"alg": key.alg, "typ": "at+jwt", "kid": key.kid}

    def token(self, header=None, claims=None, by=None):
        """Any header and claims, as values or as text, rightly signed."""
        part = lambda value: value if isinstance(value, bytes) else compact(value)
        head = part(self.header if header is None else header)
        body = part(self.claims if claims is None else claims)
        message = f"{b64(head)}.{b64(body)}"
        alg = header.get("alg") if isinstance(header, dict) else None
        return f"{message}.{b64((by or self.key).sign(message.encode(), alg))}"

    def headed(self, **changed):
        header = {**self.header, **changed}
        return {name: value for name, value in header.items() if value is not ...}

    def saying(self, **changed):
        claims = {**self.claims, **changed}
        return self.token(claims={name: value for name, value in claims.items() if value is not ...})

    def right(self):
        yield "as issued", self.token()
        yield "by PyJWT", jwt.encode(self.claims, self.key.private, self.key.alg, {"typ": "at+jwt", "kid": self.key.kid})
        yield "a jku nobody asks for", self.token({**self.header, "jku": f"{self.given['evil']}/jku"})
        if self.given["is_provider"]:
            yield "fractions of a second (RFC 7519, 2)", self.saying(exp=self.given["now"] + 600.5, nbf=self.given["now"] - 0.5)

    def wrong(self):
        for part in (self.unsigned, self.shared, self.headers, self.keys, self.signatures, self.spellings, self.texts, self.said):
            yield from part()

    def unsigned(self):
        head, body, signature = self.token().split(".")
        for alg in ("none", "None", "NONE", "nOnE", "nonE", "", "null"):
            head = b64(compact(self.headed(alg=alg)))
            yield f"alg {alg!r}, no signature", f"{head}.{body}."
            yield f"alg {alg!r}, two parts", f"{head}.{body}"
            yield f"alg {alg!r}, the old signature", f"{head}.{body}.{signature}"
        yield "alg none and no kid", f"{b64(compact({'alg': 'none', 'typ': 'at+jwt'}))}.{body}."

    def shared(self):
        hash_of = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
        kids = [self.key.kid, ..., *self.given.get("secret_kids", [])]
        for name, secret in self.key.secrets(self.given["jwks"]):
            for alg in hash_of:
                for number, kid in enumerate(kids):
                    message = f"{b64(compact(self.headed(alg=alg, kid=kid)))}.{b64(compact(self.claims))}"
                    mac = hmac.new(secret, message.encode(), hash_of[alg]).digest()
                    yield f"{alg} under {name}, kid {number}", f"{message}.{b64(mac)}"
        # An RSA or EC key's own algorithm in the header, an HMAC beneath it.
        message = f"{b64(compact(self.header))}.{b64(compact(self.claims))}"
        pem = next(self.key.secrets(self.given["jwks"]))[1]
        yield "an HMAC in place of a signature", f"{message}.{b64(hmac.new(pem, message.encode(), 'sha256').digest())}"

    def headers(self):
        algs = ["EdDSA", "ES256", "ES384", "ES256K", "RS256", "PS256", "HS256", "Ed25519"]
        algs += [self.key.alg.lower(), f"{self.key.alg} ", f"{self.key.alg}\0", 7, None, ["none", self.key.alg], {}, ...]
        # What one RSA key may sign by is for its issuer to say, below.
        for alg in algs:
            if alg != self.key.alg:
                yield f"alg {alg!r}", self.token(self.headed(alg=alg))
        for typ in ("JWT", "id+jwt", "ID", "logout+jwt", "dpop+jwt", "at+jwt ", "jwt", "", 7, None, ["at+jwt"], ...):
            yield f"typ {typ!r}", self.token(self.headed(typ=typ))
        for crit in (["exp"], ["b64"], [], "exp", ["kid"], None, 7):
            yield f"crit {crit!r}", self.token(self.headed(crit=crit))
        message = b64(compact(self.headed(crit=["b64"], b64=False))) + "." + json.dumps(self.claims)
        yield "a payload that is not encoded (RFC 7797)", f"{message}.{b64(self.key.sign(message.encode()))}"

    def keys(self):
        foreign = Key("EdDSA", "foreign")
        for kid in ("unknown", "", " ", f"{self.key.kid} ", self.key.kid[:-1], "../../../dev/null", "' or 1=1 --", "\0", "k" * 3000, 0, None, [self.key.kid], ...):
            yield f"kid {str(kid)[:60]!r}", self.token(self.headed(kid=kid))
        for kid in self.given.get("foreign_kids", []):
            yield "another server's kid", self.token(self.headed(kid=kid))
        yield "signed by a stranger", self.token(by=foreign)
        yield "a stranger's alg and key", self.token(self.headed(alg="EdDSA"), by=foreign)
        for other in self.others:
            yield f"{other.alg}'s signature under its own name", self.token(by=other)
            yield f"{other.alg}'s signature and alg under this kid", self.token(self.headed(alg=other.alg), by=other)
            yield f"this signature under the kid of {other.alg}", self.token(self.headed(kid=other.kid))
            yield f"this signature under the kid and alg of {other.alg}", self.token(self.headed(kid=other.kid, alg=other.alg))
        brought = {"jwk": foreign.jwk(), "jku": f"{self.given['evil']}/jku", "x5u": f"{self.given['evil']}/x5u", "x5c": ["MAA="]}
        for kid in (self.key.kid, "foreign", ...):
            for name, value in brought.items():
                header = self.headed(alg="EdDSA", kid=kid, **{name: value})
                yield f"{name} and kid {kid!r}", self.token(header, by=foreign)
            yield f"all of them and kid {kid!r}", self.token(self.headed(alg="EdDSA", kid=kid, **brought), by=foreign)

    def signatures(self):
        whole = self.token()
        message, signature = whole.rsplit(".", 1)
        raw = unb64(signature)
        yield "none", f"{message}."
        yield "no third part", message
        for cut in (1, 2, 4, len(signature) // 2):
            yield f"{cut} letters short", whole[:-cut]
        changed = {
            "a byte short": raw[:-1], "a byte long": raw + b"\0", "a byte before": b"\0" + raw, "twice": raw + raw,
            "zeros": bytes(len(raw)), "ones": b"\xff" * len(raw), "a bit": raw[:-1] + bytes([raw[-1] ^ 1]),
            "the first bit": bytes([raw[0] ^ 128]) + raw[1:],
        }
        if self.key.alg == "EdDSA":
            s = int.from_bytes(raw[32:], "little")
            changed["S and the order of the group"] = raw[:32] + (s + ED25519_ORDER).to_bytes(32, "little")
            changed["R of small order and S of nothing"] = b"\1" + bytes(63)
        if self.key.alg == "ES256":
            r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
            changed["as DER"] = utils.encode_dss_signature(r, s)
            order = P256_ORDER.to_bytes(32, "big")
            changed["r and s are the order"] = order + order
            changed["r is nothing"] = bytes(32) + raw[32:]
            changed["s is nothing"] = raw[:32] + bytes(32)
            changed["the halves the other way round"] = raw[32:] + raw[:32]
        for name, bytes_ in changed.items():
            yield f"signature: {name}", f"{message}.{b64(bytes_)}"

    def spellings(self):
        """The same bytes in another spelling: a token has one."""
        whole = self.token()
        head, body, signature = whole.split(".")
        yield "padded signature", f"{whole}{'=' * (-len(signature) % 4)}="
        yield "padded claims", f"{head}.{body}=.{signature}"
        yield "padded header", f"{head}=.{body}.{signature}"
        yield "standard alphabet", f"{head}.{body}.{self.in_standard_alphabet()}"
        if len(signature) % 4:
            # Bits of the last letter that mean nothing.
            last = LETTERS[LETTERS.index(signature[-1]) ^ 1]
            yield "loose bits", f"{whole[:-1]}{last}"
        for name, text in {
            "four parts": f"{whole}.{signature}", "five parts": f"{head}.{body}.{body}.{body}.{signature}",
            "a dot before": f".{whole}", "a dot after": f"{whole}.", "two dots": f"{head}..{body}.{signature}",
            "only dots": "..", "no header": f".{body}.{signature}", "no claims": f"{head}..{signature}",
            "a comma": f"{whole},{whole}", "percent": whole.replace(".", "%2E"), "quoted": f'"{whole}"',
        }.items():
            yield f"spelled with {name}", text

    def in_standard_alphabet(self):
        for number in range(1000):
            signature = self.token(claims={**self.claims, "n": number}).split(".")[2]
            if "-" in signature or "_" in signature:
                return signature.replace("-", "+").replace("_", "/")
        raise AssertionError("no signature with a letter that differs")

    def texts(self):
        """Headers and claims that are no JSON objects, or two at once."""
        header, claims = compact(self.header), compact(self.claims)
        for name, value in self.claims.items():
            said = f'{json.dumps(name)}:{json.dumps(value)}'.encode()
            yield f"{name} twice", self.token(claims=claims[:-1] + b"," + said + b"}")
            yield f"another {name} before", self.token(claims=b'{"%b":"x",' % name.encode() + claims[1:])
            yield f"another {name} after", self.token(claims=claims[:-1] + b',"%b":"x"}' % name.encode())
        yield "sub twice, once escaped", self.token(claims=claims[:-1] + b',"\\u0073ub":"x"}')
        for name in self.header:
            yield f"header: another {name} before", self.token(b'{"%b":"x",' % name.encode() + header[1:])
            yield f"header: another {name} after", self.token(header[:-1] + b',"%b":"x"}' % name.encode())
        yield "header: alg none first", self.token(b'{"alg":"none",' + header[1:])
        for name, text in {
            "a list": b"[" + claims + b"]", "a text": compact(claims.decode()), "null": b"null", "nothing": b"",
            "two objects": claims + claims, "a byte after": claims + b"x", "a mark before": b"\xef\xbb\xbf" + claims,
            "no UTF-8": claims[:-1] + b',"x":"\xff"}', "UTF-16": claims.decode().encode("utf-16"),
            "a comma too many": claims[:-1] + b",}", "a comment": b"/**/" + claims, "NaN": claims[:-1] + b',"n":NaN}',
            "deep": claims[:-1] + b',"n":' + b"[" * 400 + b"]" * 400 + b"}",
        }.items():
            yield f"claims: {name}", self.token(claims=text)
        yield "header: a list", self.token(b"[" + header + b"]")
        yield "header: nothing", self.token(b"")
        yield "header: no UTF-8", self.token(header[:-1] + b',"x":"\xff"}')
        for name, size in {"over the limit": self.given["longest"], "huge": 100_000}.items():
            yield f"{name}, in its claims", self.saying(pad="x" * size)
            yield f"{name}, in its header", self.token({**self.header, "pad": "x" * size})
            yield f"{name}, in its signature", self.token() + "A" * size

    def said(self):
        """What is said is wrong, and rightly signed."""
        now, claims = self.given["now"], self.claims
        for name in self.given["required"]:
            yield f"no {name}", self.saying(**{name: ...})
            for value in (None, [], {}, True, [claims[name]], {"x": claims[name]}):
                # One audience in a list is one audience where the issuer is somebody else (RFC 7519, 4.1.3).
                if name == "aud" and isinstance(value, list) and value and self.given["is_provider"]:
                    continue
                yield f"{name} {str(value)[:30]}", self.saying(**{name: value})
        for iss in ("", "evil", f"{claims['iss']}/", f"{claims['iss']} ", claims["iss"].upper(), f"{claims['iss']}\0", 7):
            yield f"iss {iss!r}", self.saying(iss=iss)
        for aud in self.given["wrong_aud"]:
            yield f"aud {aud!r}", self.saying(aud=aud)
        for sub in self.given["wrong_sub"]:
            yield f"sub {str(sub)[:20]!r}", self.saying(sub=sub)
        for exp in (0, -1, now - 3600, now - 6, str(now + 600), f"{now + 600}.5", -1e300, 1e300, 2**63, 2**64, 10**30, (now + 600) * 1000):
            yield f"exp {exp!r}", self.saying(exp=exp)
        if not self.given["is_provider"]:
            yield "exp with a fraction", self.saying(exp=now + 600.5)
            yield "iat with a fraction", self.saying(iat=now - 0.5)
        for name in ("iat", "nbf"):
            for time in (now + 6, now + 3600, str(now), 1e300, 2**64, -1e300, now * 1000, [now], True):
                yield f"{name} {time!r}", self.saying(**{name: time})
        for name, claims in self.given["wrong"].items():
            yield name, self.saying(**{claim: ... if value is None else value for claim, value in claims.items()})


def main():
    given = json.load(sys.stdin)
    keys = [Key(key["alg"], key["kid"], bytes.fromhex(key["seed"]) if "seed" in key else None) for key in given["keys"]]
    shown = [key.jwk() for key in keys]
    given.setdefault("jwks", compact({"keys": shown}).decode())
    found = {"jwks": shown, "right": {}, "wrong": {}}
    for key in keys:
        forge = Forge(given, key, [other for other in keys if other is not key])
        for kind in ("right", "wrong"):
            for name, token in getattr(forge, kind)():
                name = f"{key.alg}: {name}"
                # Two lists may name the same thing.
                found[kind].setdefault(name, token)
    json.dump(found, sys.stdout)


main()
