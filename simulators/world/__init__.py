"""The one physical world behind the simulated instruments: rack, link physics, quantum states, noise, clocks."""
