"""A mail server for tests: keeps what it takes in a Maildir. Says its port in one line of JSON once it listens.

Usage: sink.py FOLDER PORT plain|starttls|tls. The latter two want the user `me` with the password `hunter2`, and leave
their certificate in FOLDER/authority.pem.
"""

import asyncio
import datetime
import ipaddress
import json
import pathlib
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult


class Sink(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
        refusals = {"refused": "550 5.1.1 there is no such person", "busy": "451 4.2.0 come again later"}
        refusal = refusals.get(address.split("@")[0])
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"


def certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sink")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - day).not_valid_after(now + day).add_extension(names, False)
    pem, secret = folder / "authority.pem", folder / "secret.pem"
    pem.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"me", b"hunter2"), handled=False)


def main():
    folder, port, mode = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    handler = Sink(folder / "mail")
    context = None if mode == "plain" else certificate(folder)
    more = {}
    if mode != "plain":
        more = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": mode == "starttls"}
    if mode == "starttls":
        more |= {"tls_context": context, "require_starttls": True}
    loop = asyncio.new_event_loop()
    listen = loop.create_server(
        lambda: SMTP(handler, loop=loop, hostname="sink.example.com", **more),
        "127.0.0.1",
        port,
        ssl=context if mode == "tls" else None,
    )
    server = loop.run_until_complete(listen)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    loop.run_forever()


main()
