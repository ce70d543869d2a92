"""The same chain on LangServe, written as LangServe's README recommends."""

import os

from fastapi import FastAPI
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langserve import add_routes
from pydantic import SecretStr

prompt = ChatPromptTemplate.from_messages([("system", "You tell jokes."), ("human", "{topic}")])
model = ChatOpenAI(
    model="bench",
    base_url=os.environ["UPSTREAM"],
    api_key=SecretStr("sk-bench"),
    max_retries=0,
    stream_usage=True,
)

app = FastAPI()
add_routes(app, prompt | model | StrOutputParser(), path="/chains/joke")
