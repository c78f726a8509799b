"""Pure decisions: values in, values out. No disk, network, clock or chance."""
