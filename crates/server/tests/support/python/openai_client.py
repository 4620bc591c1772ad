"""OpenAI's client against what is given: a streamed answer word by word, left before its end; and what refusals become."""

import json
import sys

import openai

given = json.load(sys.stdin)


def say(what):
    print(json.dumps(what), flush=True)


def client(key):
    return openai.OpenAI(base_url=given["base_url"], api_key=key, max_retries=0, timeout=30)


def stream(key):
    return client(key).chat.completions.create(model="m", messages=[{"role": "user", "content": "go"}], stream=True)


words = stream(given["key"])
for chunk in words:
    say(chunk.choices[0].delta.content)
    if chunk.choices[0].delta.content == "second":
        break
words.close()

for key, refusal in (("wrong", openai.AuthenticationError), ("limited", openai.RateLimitError)):
    try:
        stream(given[key])
    except refusal as error:
        say([type(error).__name__, error.status_code, error.response.json()["code"]])
