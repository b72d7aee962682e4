"""Clients that people use, unchanged, against a server with a real model:

    clients_test.py BUNDLE_SERVER MODEL [UNITTEST_ARGUMENTS]

openai: every feature of its completions, chat, responses and embeddings; langchain-openai, litellm:
smoke tests; lm-eval: a task of ten questions through `local-completions`. scripts/clients-venv makes
the Python that has them. MODEL is small and follows instructions (SmolLM2-135M-Instruct).
"""

import json
import math
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bench"))
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", LITELLM_LOCAL_MODEL_COST_MAP="True",
                  TOKENIZERS_PARALLELISM="false")
from serving_client import Server  # noqa: E402

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
PERSON = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
          "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}}}
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Weather of a city",
    "parameters": {"type": "object", "required": ["city"], "additionalProperties": False,
                   "properties": {"city": {"type": "string", "maxLength": 20}}}}}
# The model's own template shows no functions, and a server refuses those that a model would not see.
TEMPLATE = """{%- if messages[0].role != "system" %}<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
{% endif %}
{%- if tools %}<|im_start|>system
You may call functions: {% for tool in tools %}{{ tool | tojson }}{% endfor %}
Call one by <tool_call>{"name": …, "arguments": …}</tool_call>.<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def setUpModule():
    global SERVER, URL
    SERVER = Server(PROGRAM, MODEL, "--set", "runtime.chat_template=" + TEMPLATE)
    URL = f"http://127.0.0.1:{SERVER.port}/v1"


def tearDownModule():
    SERVER.process.terminate()
    SERVER.process.wait(60)


def length(vector):
    return math.sqrt(sum(x * x for x in vector))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / (length(a) * length(b))


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import openai
        cls.openai = openai
        cls.client = openai.OpenAI(base_url=URL, api_key="none", max_retries=0)
        cls.chats = cls.client.chat.completions

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def chat(self, **fields):
        return self.chats.create(**{"model": "m", "messages": QUESTION, "temperature": 0, "max_tokens": 40, **fields})

    def test_models_state_what_they_can(self):
        [model] = self.client.models.list()
        self.assertEqual(model.id, "m")
        self.assertGreater(model.capabilities["embedding_size"], 0)

    def test_chat(self):
        answer = self.chat()
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_streams_say_the_same(self):
        whole = self.chat().choices[0].message.content
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), whole)
        self.assertGreater(chunks[-1].usage.prompt_tokens_details.cached_tokens, 0)

    def test_seed_and_choices(self):
        fields = {"temperature": 1.2, "seed": 5, "n": 3, "max_tokens": 12}
        first, second = (([c.message.content for c in self.chat(**fields).choices]) for _ in range(2))
        self.assertEqual(first, second)
        self.assertGreater(len(set(first)), 1)

    def test_stop_and_length(self):
        stopped = self.chat(stop=["Paris"]).choices[0]
        self.assertEqual((stopped.finish_reason, "Paris" in stopped.message.content), ("stop", False))
        self.assertEqual(self.chat(max_completion_tokens=2).choices[0].finish_reason, "length")

    def test_logprobs_and_bias(self):
        tokens = self.chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob, "temperature 0 takes the likeliest")
        allowed = self.client.completions.create(model="m", prompt=" yes", max_tokens=1, echo=True, logprobs=0,
                                                 extra_body={"return_token_ids": True}).choices[0]
        token = allowed.prompt_token_ids[-1]
        forced = self.chat(logit_bias={str(token): 100}, max_tokens=3, extra_body={"return_token_ids": True})
        self.assertEqual(set(forced.choices[0].token_ids), {token})

    def test_penalties(self):
        def words(**fields):
            answer = self.chat(messages=[{"role": "user", "content": "Write the word sun forty times."}], max_tokens=60,
                               extra_body={"ignore_eos": True}, **fields)
            return answer.choices[0].message.content.split()
        plain, varied = words(), words(frequency_penalty=2, presence_penalty=2)
        self.assertLess(len(set(plain)) / len(plain), len(set(varied)) / len(varied))

    def test_json_schema(self):
        text = self.chat(messages=[{"role": "user", "content": "Invent a person."}], max_tokens=200,
                         response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}})
        person = json.loads(text.choices[0].message.content)
        self.assertEqual(set(person), {"name", "age"})
        self.assertIsInstance(person["age"], int)

    def test_json_object(self):
        text = self.chat(messages=[{"role": "user", "content": "Name and age of Anna, who is 7, as JSON."}], max_tokens=300,
                         temperature=0.5, seed=1, response_format={"type": "json_object"})
        if text.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(text.choices[0].message.content), dict)

    def test_structured_outputs(self):
        choice = self.chat(extra_body={"structured_outputs": {"choice": ["Rome", "Berlin"]}})
        self.assertIn(choice.choices[0].message.content, ("Rome", "Berlin"))
        digits = self.chat(extra_body={"structured_outputs": {"regex": "[0-9]{4}"}})
        self.assertRegex(digits.choices[0].message.content, "^[0-9]{4}$")

    def test_tools(self):
        for tool_choice in ("required", {"type": "function", "function": {"name": "weather"}}):
            answer = self.chat(tools=[WEATHER], tool_choice=tool_choice, max_tokens=100).choices[0]
            self.assertEqual(answer.finish_reason, "tool_calls")
            call = answer.message.tool_calls[0]
            self.assertEqual(call.function.name, "weather")
            self.assertEqual(set(json.loads(call.function.arguments)), {"city"})
        again = QUESTION + [answer.message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        self.assertTrue(self.chat(messages=again).choices[0].message.content)

    def test_tools_stream(self):
        arguments, name = "", ""
        for chunk in self.chat(tools=[WEATHER], tool_choice="required", max_tokens=100, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
        self.assertEqual(name, "weather")
        self.assertEqual(set(json.loads(arguments)), {"city"})

    def test_completions(self):
        answer = self.client.completions.create(model="m", prompt=["The capital of France is", [504, 3575]], max_tokens=4,
                                                temperature=0, n=2, best_of=3, logprobs=2, echo=True)
        self.assertEqual([c.index for c in answer.choices], [0, 1, 2, 3])
        self.assertTrue(answer.choices[0].text.startswith("The capital of France is"))
        scores = answer.choices[0].logprobs
        self.assertEqual(len(scores.tokens), len(scores.token_logprobs))
        self.assertIsNone(scores.token_logprobs[0])

    def test_responses(self):
        answer = self.client.responses.create(model="m", input=QUESTION, max_output_tokens=40, temperature=0)
        self.assertIn("Paris", answer.output_text)
        kinds = [event.type for event in self.client.responses.create(
            model="m", input="Hi", max_output_tokens=5, stream=True)]
        self.assertEqual((kinds[0], kinds[-1]), ("response.created", "response.incomplete"))

    def test_embeddings(self):
        texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose by two percent."]
        cat, kitten, rates = (e.embedding for e in self.client.embeddings.create(
            model="m", input=texts, extra_body={"pooling": "mean"}).data)
        self.assertAlmostEqual(length(cat), 1, places=5)
        self.assertGreater(cosine(cat, kitten), cosine(cat, rates))
        [alone] = self.client.embeddings.create(model="m", input=texts[0], extra_body={"pooling": "mean"}).data
        self.assertEqual(alone.embedding, cat, "alone as among others")
        plain = self.client.embeddings.create(model="m", input=texts[0], encoding_format="float", dimensions=64,
                                              extra_body={"pooling": "mean"})
        self.assertEqual(len(plain.data[0].embedding), 64)
        self.assertAlmostEqual(cosine(plain.data[0].embedding, cat[:64]), 1, places=5)

    def test_errors(self):
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.chat(temperature=7)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(self.openai.NotFoundError):
            self.chat(model="other")

    def test_deadline(self):
        late = self.chats.create(model="m", messages=QUESTION, max_tokens=1000, extra_body={"ignore_eos": True},
                                 extra_headers={"X-Request-Timeout-Ms": "1500"})
        self.assertEqual(late.choices[0].finish_reason, "deadline")


class LangChain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from langchain_openai import ChatOpenAI
        cls.model = ChatOpenAI(model="m", base_url=URL, api_key="none", temperature=0, max_tokens=40, max_retries=0)

    def test_invoke_and_usage(self):
        answer = self.model.invoke(QUESTION[0]["content"])
        self.assertIn("Paris", answer.content)
        self.assertEqual(answer.usage_metadata["total_tokens"],
                         answer.usage_metadata["input_tokens"] + answer.usage_metadata["output_tokens"])

    def test_stream_and_batch(self):
        whole = self.model.invoke("Say hello.").content
        self.assertEqual("".join(chunk.content for chunk in self.model.stream("Say hello.")), whole)
        self.assertEqual([a.content for a in self.model.batch(["Say hello."] * 3)], [whole] * 3)

    def test_stop(self):
        self.assertNotIn("Paris", self.model.invoke(QUESTION[0]["content"], stop=["Paris"]).content)

    def test_tools(self):
        bound = self.model.bind_tools([WEATHER], tool_choice="weather")
        [call] = bound.invoke("How is the weather in Rome?", max_tokens=100).tool_calls
        self.assertEqual((call["name"], set(call["args"])), ("weather", {"city"}))

    def test_structured_output(self):
        schema = {"title": "person", **PERSON}
        bound = self.model.with_structured_output(schema, method="json_schema")
        self.assertEqual(set(bound.invoke("Invent a person.", max_tokens=200)), {"name", "age"})

    def test_embeddings(self):
        from langchain_openai import OpenAIEmbeddings
        embeddings = OpenAIEmbeddings(model="m", base_url=URL, api_key="none", check_embedding_ctx_length=False, max_retries=0)
        first, second = embeddings.embed_documents(["one", "two"])
        self.assertEqual(len(first), len(second))
        self.assertEqual(embeddings.embed_query("one"), first)


class LiteLlm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import litellm
        litellm.suppress_debug_info = True
        cls.litellm = litellm
        cls.common = {"model": "openai/m", "api_base": URL, "api_key": "none"}

    def test_completion(self):
        for _ in range(2):
            answer = self.litellm.completion(messages=QUESTION, temperature=0, max_tokens=40, **self.common)
        self.assertIn("Paris", answer.choices[0].message.content)
        self.assertGreater(answer.usage.prompt_tokens_details.cached_tokens, 0)

    def test_stream(self):
        chunks = self.litellm.completion(messages=QUESTION, temperature=0, max_tokens=40, stream=True, **self.common)
        self.assertIn("Paris", "".join(chunk.choices[0].delta.content or "" for chunk in chunks))

    def test_embedding(self):
        answer = self.litellm.embedding(input=["one", "two"], **self.common)
        self.assertEqual(len(answer.data), 2)

    def test_errors(self):
        with self.assertRaises(self.litellm.BadRequestError):
            self.litellm.completion(messages=QUESTION, temperature=0, top_p=7, **self.common)


class LmEval(unittest.TestCase):
    def test_a_task_through_local_completions(self):
        import lm_eval
        from lm_eval.tasks import TaskManager
        folder = os.path.join(HERE, "tasks")
        with tempfile.TemporaryDirectory() as cache:
            os.environ["HF_DATASETS_CACHE"] = cache
            import yaml
            with open(os.path.join(folder, "capitals.yaml")) as file:
                task = yaml.safe_load(file)
            task["dataset_kwargs"] = {"data_files": {"test": os.path.join(folder, "capitals.jsonl")}, "cache_dir": cache}
            results = lm_eval.simple_evaluate(
                model="local-completions", tasks=[task], task_manager=TaskManager(), bootstrap_iters=0,
                model_args={"model": "m", "base_url": URL + "/completions", "tokenizer_backend": "remote",
                            "num_concurrent": 4, "max_retries": 1, "batch_size": 2})
        samples = results["samples"]["bundle_capitals"]
        self.assertEqual(len(samples), 10)
        self.assertGreaterEqual(results["results"]["bundle_capitals"]["acc,none"], 0.8)
        for sample in samples[:3]:  # the likelihoods are those that the server gives to a person who asks
            for choice, [[score, _]] in zip(sample["doc"]["choices"], sample["resps"]):
                self.assertAlmostEqual(float(score), self.likelihood(sample["doc"]["question"], " " + choice), places=3)

    def likelihood(self, context, continuation):
        whole = SERVER.complete(model="m", prompt=context + continuation, echo=True, logprobs=0, max_tokens=0)["choices"][0]
        known = SERVER.complete(model="m", prompt=context, echo=True, logprobs=0, max_tokens=0)["choices"][0]
        return sum(whole["logprobs"]["token_logprobs"][len(known["logprobs"]["tokens"]):])


if __name__ == "__main__":
    PROGRAM, MODEL = sys.argv[1:3]
    del sys.argv[1:3]
    unittest.main(verbosity=2)
