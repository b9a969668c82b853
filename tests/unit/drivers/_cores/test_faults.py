from drivers._cores import fault


def test_says_who_where_what_and_what_to_do() -> None:
    error = fault(
        "awg", "Model X", "tcp://1.2.3.4:5", "no answer to '*IDN?' within 2 s", hint="check power", asked="*IDN?"
    )
    assert str(error) == "awg (Model X at tcp://1.2.3.4:5): no answer to '*IDN?' within 2 s - check power"
    assert error.code == "instrument"
    assert error.context == {"instrument": "awg", "address": "tcp://1.2.3.4:5", "asked": "*IDN?"}
