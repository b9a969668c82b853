"""What is told on the monitoring line, and when."""

import asyncio

import pytest

from simulators.instruments.toptica._controller import Controller
from simulators.instruments.toptica._monitoring_line import Subscription, serve_monitoring_line
from simulators.kit.tcp import TcpServer
from simulators.kit.testing import ManualTime

T0_PS = 1_800_000_037 * 10**12
STAMP = "2027-01-15T08:00:00.000Z"


@pytest.mark.parametrize(
    ("threshold", "told", "value", "news"),
    [
        (0.0, None, 1.0, True),
        (0.0, 1.0, 1.0, False),
        (0.0, 1.0, 1.1, True),
        (0.5, 1.0, 1.4, False),
        (0.5, 1.0, 1.5, True),
        (0.5, 1.0, 0.5, True),
        (0.5, None, 1.0, True),
        (0.5, False, True, True),
        (0.5, "a", "b", True),
    ],
)
def test_news(threshold, told, value, news):
    assert Subscription("p", 0.0, threshold, told).is_news(value) == news


def test_due_after_the_interval():
    assert Subscription("p", 0.25, told_at_s=10.0).due_s() == 10.25
    assert Subscription("p", 0.25).due_s() < 0


def talk(*steps):
    """Run ``steps`` on a line of its own: text is sent, functions are called; the lines that came, one a step."""

    async def body():
        controller = Controller(ManualTime(T0_PS), "DLC PRO_000001", "127.0.0.1", lambda: None)
        server = TcpServer("laser", "127.0.0.1", 0, lambda r, w: serve_monitoring_line(controller, r, w))
        await server.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        lines = []
        for step in steps:
            if isinstance(step, str):
                writer.write(step.encode())
            else:
                step(controller)
            lines.append((await reader.readline()).decode())
        writer.close()
        await server.close()
        assert not controller.watchers
        assert not any(controller.connections.values())
        return lines

    return asyncio.run(asyncio.wait_for(body(), 20))


def test_first_value_at_once_then_changes():
    lines = talk(
        "(add 'laser1:dl:cc:current-set)\n",
        lambda controller: controller.put("laser1:dl:cc:current-set", 90),
        "(add 'emission 10)\n",
        lambda controller: controller.put("laser1:enabled", True),
        lambda controller: controller.set_interlock(True),
    )
    path = "laser1:dl:cc:current-set"
    assert lines == [
        f"({STAMP} '{path} 100.0)\n",
        f"({STAMP} '{path} 90.0)\n",
        f"({STAMP} 'emission #f)\n",
        f"({STAMP} 'emission #t)\n",
        f"({STAMP} 'emission #f)\n",
    ]


def test_what_was_removed_is_told_no_more():
    lines = talk(
        "(add 'laser1:dl:cc:current-set)\n",
        "(remove 'laser1:dl:cc:current-set)\n(change-ul 3 \"\")\n(add 'system-label)\n",
        lambda controller: [
            controller.put("laser1:dl:cc:current-set", 90),
            controller.put("system-label", "x"),
        ],
    )
    assert [line.split("'")[1] for line in lines] == [
        "laser1:dl:cc:current-set 100.0)\n",
        'system-label "")\n',
        'system-label "x")\n',
    ]


def test_uptime_comes_by_itself():
    lines = talk("(add 'uptime)\n", lambda controller: controller._time.advance(10**12))
    assert lines[0].endswith("'uptime 0)\n")
    assert lines[1] == "(2027-01-15T08:00:01.000Z 'uptime 1)\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("(add 'nonsense)", f"(Error: -3 ({STAMP} 'nonsense) not found: nonsense)\n"),
        ("(explode 'emission)", f"(Error: -3 ({STAMP} 'emission) not found: explode)\n"),
        ("(add emission)", f"(Error: -2 ({STAMP} ') syntax error: a name in quotes was expected)\n"),
        ("(add 'emission #t)", f"(Error: -4 ({STAMP} 'emission) wrong type: a number was expected)\n"),
        ("(add", f"(Error: -2 ({STAMP} ') syntax error: unexpected end)\n"),
        ("emission", f"(Error: -2 ({STAMP} ') syntax error: no operation)\n"),
    ],
)
def test_errors(line, told):
    assert talk(f"{line}\n") == [told]
