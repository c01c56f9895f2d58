"""A gateway with more terminals than select() has room for still reaches its broker."""

import asyncio
import contextlib
import os
import resource

from ingest.gateways.publishing import Publisher
from tests.fix_stack import BrokerUnderTest, in_a_loop_of_its_own
from tests.mqtt_talk import Talker

BEYOND_SELECT = 1_100


@contextlib.contextmanager
def many_descriptors():
    """Use up what a thousand terminals would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = BEYOND_SELECT + 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, wanted)), hard))
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while held[-1] < BEYOND_SELECT:
            held.append(os.dup(held[0]))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_broker_is_reached_with_more_than_a_thousand_descriptors_open(fresh_broker: BrokerUnderTest):
    async def work():
        publisher = Publisher(
            fresh_broker.embedded.gateway_url, "test-many", heard=lambda *_: None, room=lambda: None
        )
        taken: asyncio.Queue[bool] = asyncio.Queue()
        try:
            with many_descriptors():
                await asyncio.wait_for(publisher.connect(), 15)
                publisher.publish("pw/v1/00/d1/telemetry", b"{}", taken.put_nowait)
                assert await asyncio.wait_for(taken.get(), 15)
                assert publisher.connected
        finally:
            await publisher.close()

    with Talker(
        fresh_broker.host, fresh_broker.port, "slot", "ingest", fresh_broker.ingest_password
    ).connected() as slot:
        slot.subscribe("pw/v1/00/d1/telemetry")
        in_a_loop_of_its_own(work())
