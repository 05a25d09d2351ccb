"""Verifies an access token for LiveKit as LiveKit does, and prints its claims: `livekit_token.py TOKEN KEY SECRET`.

LiveKit looks up the secret of the issuer, an API key, and takes no other signature. See
https://docs.livekit.io/frontends/reference/tokens-grants/.
"""

import json
import sys

import jwt

token, key, secret = sys.argv[1:]
claims = jwt.decode(
    token,
    secret,
    algorithms=["HS256"],
    issuer=key,
    options={"require": ["exp", "iss", "nbf", "sub"]},
)
print(json.dumps(claims))
