"""Options that make each method small and fast."""

SMALL = {
    "gas": {"batch": 16, "width": 16, "blocks": 1},
    "gas-levels": {"batch": 16, "width": 16, "blocks": 1},
    "gas-released": {"batch": 16, "width": 16, "blocks": 1},
    "cdt": {"batch": 16, "seq_len": 5, "embedding_dim": 16, "num_layers": 1, "num_heads": 2},
    "cpq": {"batch": 16, "hidden": 16, "vae_hidden": 16},
    "coptidice": {"batch": 16, "hidden": 16},
    "fisor": {"batch": 16, "hidden": 16, "width": 16, "blocks": 1},
    "bc-all": {"batch": 16, "hidden": 16},
    "bc-safe": {"batch": 16, "hidden": 16},
    "bc-frontier": {"batch": 16, "hidden": 16},
    "bcq-lag": {"batch": 16, "hidden": 16, "vae_hidden": 16},
    "bear-lag": {"batch": 16, "hidden": 16, "vae_hidden": 16},
    "cpq-penalised": {"batch": 16, "hidden": 16, "vae_hidden": 16},
    "coptidice-perstep": {"batch": 16, "hidden": 16},
    "bcrl": {"batch": 16, "hidden": 16},
    "caps": {"batch": 16, "hidden": 16},
    "caps-sac": {"batch": 16, "hidden": 16},
    "trac": {"batch": 4, "cloning_batch": 16, "hidden": 16},
    "presa": {"batch": 4, "cloning_batch": 16, "hidden": 16},
}
