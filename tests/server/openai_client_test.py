"""The openai package against the server, unchanged: python openai_client_test.py FAKE_SERVER."""

import asyncio
import json
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

import openai

FOX = "Hello world the quick brown fox jumps over the lazy dog"
MESSAGES = [{"role": "user", "content": "hi"}]


class OpenAIClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [SERVER, "500", "secret"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.url = cls.server.stdout.readline().strip()
        cls.client = openai.OpenAI(base_url=cls.url + "/v1", api_key="secret", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stdin.close()
        code = cls.server.wait(timeout=20)
        cls.server.stdout.close()
        assert code == 0, f"the server ended with {code}"

    def test_models(self):
        models = list(self.client.models.list())
        self.assertEqual([m.id for m in models], ["toy"])
        self.assertEqual(self.client.models.retrieve("toy").object, "model")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("gpt-4")
        self.assertEqual(caught.exception.code, "model_not_found")
        self.assertTrue(caught.exception.request_id)

    def test_chat(self):
        answer = self.client.chat.completions.create(
            model="toy", messages=MESSAGES, temperature=0, seed=1, n=2, user="me",
            logprobs=True, top_logprobs=2, stop=["zzz"], logit_bias={"5": -1})
        self.assertEqual([c.message.content for c in answer.choices], [FOX, FOX])
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.choices[0].logprobs.content[1].token, " world")
        self.assertEqual(len(answer.choices[0].logprobs.content[1].top_logprobs), 2)
        self.assertEqual(answer.usage.total_tokens,
                         answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertTrue(answer.system_fingerprint.startswith("sha256:"))

    def test_chat_stream(self):
        chunks = list(self.client.chat.completions.create(
            model="toy", messages=MESSAGES, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, FOX)
        self.assertEqual(chunks[-2].choices[0].finish_reason, "stop")
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, 12)
        self.assertEqual(len({(c.id, c.created, c.model) for c in chunks}), 1)

    def test_chat_stream_helper(self):
        with self.client.chat.completions.stream(model="toy", messages=MESSAGES) as stream:
            for _ in stream:
                pass
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].message.content, FOX)

    def test_completions(self):
        answer = self.client.completions.create(
            model="toy", prompt=["hi", "ho"], max_tokens=2, echo=True, logprobs=1)
        self.assertEqual([c.text for c in answer.choices], ["hiHello world", "hoHello world"])
        self.assertEqual(answer.choices[0].logprobs.token_logprobs[0], None)
        ids = self.client.completions.create(
            model="toy", prompt=[104, 105], max_tokens=2, extra_body={"return_token_ids": True})
        self.assertEqual(ids.choices[0].model_extra["token_ids"], [260, 261])

    def test_completions_stream(self):
        chunks = list(self.client.completions.create(
            model="toy", prompt="hi", stream=True, max_tokens=5))
        self.assertEqual("".join(c.choices[0].text for c in chunks),
                         "Hello world the quick brown")
        self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

    def test_errors_become_the_right_exceptions(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="toy", messages=MESSAGES, temperature=3)
        self.assertEqual(caught.exception.param, "temperature")
        self.assertEqual(caught.exception.type, "invalid_request_error")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(
                model="toy", messages=[{"role": "user", "content": "x" * 5000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="other", messages=MESSAGES)
        stranger = openai.OpenAI(base_url=self.url + "/v1", api_key="wrong", max_retries=0)
        with self.assertRaises(openai.AuthenticationError):
            stranger.models.list()
        stranger.close()

    def test_raw_response_has_a_request_id(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model="toy", messages=MESSAGES, extra_headers={"x-request-id": "mine-1"})
        self.assertEqual(raw.headers["x-request-id"], "mine-1")
        self.assertEqual(raw.parse().choices[0].message.content, FOX)

    def test_many_at_once_and_some_that_leave(self):
        async def run():
            async with openai.AsyncOpenAI(
                    base_url=self.url + "/v1", api_key="secret", max_retries=0) as client:
                async def whole():
                    answer = await client.chat.completions.create(model="toy", messages=MESSAGES)
                    return answer.choices[0].message.content

                async def leave():
                    stream = await client.chat.completions.create(
                        model="toy", messages=MESSAGES, stream=True)
                    async for _ in stream:
                        break
                    await stream.close()
                    return FOX

                return await asyncio.gather(*[whole() if i % 2 else leave() for i in range(64)])

        self.assertEqual(set(asyncio.run(run())), {FOX})

    def test_every_error_has_the_envelope(self):
        key = {"Authorization": "Bearer secret"}
        as_json = key | {"Content-Type": "application/json"}
        for path, headers, body in [
                ("/nope", key, None), ("/v1/models", {}, None), ("/v1/completions", key, None),
                ("/v1/completions", as_json, b"{"), ("/v1/completions", as_json, b'{"prompt":5}')]:
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers))
            with caught.exception as response:
                error = json.loads(response.read())["error"]
            self.assertEqual(set(error), {"message", "type", "param", "code"})
            self.assertIn("x-request-id", caught.exception.headers)


if __name__ == "__main__":
    SERVER = sys.argv.pop(1)
    unittest.main()
