"""Doctor's look at what the running broker lets accounts do: the shipped rules, tried on it."""

from __future__ import annotations

from collections.abc import Iterator

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import monotonic
from core.errors import Misconfigured
from core.settings import Settings
from ingest.mqtt.address import Address, parse_url
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.probe import ACCEPTED, account_code, may_choose_client_id, mqtt_connect_code
from pledgewatch.embedded.stack import running_mqtt_url
from pledgewatch.embedded.state import read_state

PART = "MQTT rules"
FORBIDDEN_TOPIC = "pw/doctor/forbidden"
"""Outside the grammar: nobody listens there, and deploy/mosquitto/acl lets nobody write there."""
NOT_AUTHORISED = 0x87
ANSWER_WITHIN_S = 3.0
RULES = "use deploy/mosquitto/acl and mosquitto.conf: no anonymous access, an ACL"
LISTENER = (
    "let devices reach only a listener with use_username_as_clientid (deploy/mosquitto/conf.d/"
    "20-listeners.conf), and name it in PLEDGEWATCH_MQTT_DEVICE_URL"
)


def rules(settings: Settings) -> Iterator[Check]:
    """Say whether the broker that runs keeps devices apart; nothing when none runs."""
    url = settings.mqtt_url or running_mqtt_url(settings.data_dir)
    if url is None or account_code(url) != ACCEPTED:
        return  # the line of the broker has said it
    address = parse_url(url)
    if mqtt_connect_code(address.host, address.port, tls=address.tls) == ACCEPTED:
        yield Check(PART, "note", "the broker lets anybody in, without an account", RULES)
    elif _may_publish(address):
        yield Check(
            PART, "note", f"no ACL: {address.username} may publish anywhere, and so may every device", RULES
        )
    elif _free_client_ids(settings, address):
        yield Check(
            PART, "note", "a device may choose its client id, and so take over an ingest session", LISTENER
        )
    else:
        yield Check(PART, "ok", "accounts, ACL and client ids are enforced")


def _may_publish(address: Address) -> bool:
    """Publish where nobody may; MQTT 5 says no, an MQTT 3.1.1 broker hangs up or drops it in silence."""
    answers: list[int] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id="pledgewatch-doctor",
        protocol=paho.MQTTv5,
        reconnect_on_failure=False,
    )
    client.username_pw_set(address.username, address.password)
    if address.tls:
        client.tls_set()
    client.on_publish = lambda _client, _data, _mid, reason, _properties: answers.append(int(reason.value))

    def ask(*_: object) -> None:
        client.publish(FORBIDDEN_TOPIC, b"", qos=1)

    client.on_connect = ask
    try:
        client.connect(address.host, address.port, keepalive=30)
    except OSError:
        return False
    until_s = monotonic() + ANSWER_WITHIN_S
    while not answers and monotonic() < until_s and client.loop(0.1) == paho.MQTT_ERR_SUCCESS:
        pass
    client.disconnect()
    return bool(answers) and answers[0] != NOT_AUTHORISED


def _free_client_ids(settings: Settings, inner: Address) -> bool:
    """Ask the listener of the devices; with the account of ingest, which is a user name like any other."""
    devices = inner
    if settings.mqtt_device_url is not None:
        try:
            devices = parse_url(settings.mqtt_device_url, "PLEDGEWATCH_MQTT_DEVICE_URL")
        except Misconfigured:
            return False
    elif settings.mqtt_url in {None, running_mqtt_url(settings.data_dir)}:
        state = read_state(settings.data_dir / "broker.json")
        if state["port"] == state.get("inner_port"):
            return False  # aedes: broker.mjs gives devices their names, whatever they ask for
        devices = inner._replace(port=int(state["port"]))
    account = devices._replace(username=inner.username, password=inner.password)
    return may_choose_client_id(account) is True
