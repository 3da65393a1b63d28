from flask import Flask
from flask_habanero import Habanero

app = Flask(__name__)
Habanero(app)


@app.get("/")
def index() -> str:
    return "Hello, world.\n"
