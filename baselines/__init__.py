"""The baselines that GAS is compared with, one file a method."""
