"""A process of the storage suite: `write URL NAME` writes notes for ever and prints each once it is answered; `count
URL NAME TIMES` adds one to a counter that many times, by compare-and-set."""

import asyncio
import sys

from storage_tables import ADVANCE, COUNTER, INSERT

from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage


async def write(url: str, name: str) -> None:
    storage = Storage(url)
    for number in range(100_000):
        text = f"{name}-{number}"
        await storage.write(lambda tx, text=text: tx.execute(INSERT, {"text": text}))
        print(text, flush=True)


async def count(url: str, name: str, times: int) -> None:
    storage = Storage(url)

    def add(tx: Transaction, old: int) -> bool:
        return tx.execute(ADVANCE, {"b_name": name, "b_old": old, "b_new": old + 1}).rowcount == 1

    done = 0
    while done < times:
        old = await storage.read(lambda tx: tx.execute(COUNTER, {"name": name}).scalar_one())
        done += await storage.write(lambda tx, old=old: add(tx, old))
    await storage.close()


if __name__ == "__main__":
    if sys.argv[1] == "write":
        asyncio.run(write(sys.argv[2], sys.argv[3]))
    else:
        asyncio.run(count(sys.argv[2], sys.argv[3], int(sys.argv[4])))
