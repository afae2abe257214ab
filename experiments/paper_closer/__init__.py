"""What could bring back the paper's .7 of flow against blank-out, tried one by one."""
