"""The ratios by which the service's speed is judged, P1 to P13, as one table.

Run from the project's root, all or those that are named::

    OMP_WAIT_POLICY=passive python -m loadtests.ratios [clicks overload ...] [--rounds 15]

Each is two things measured in turn in one run, so that whatever disturbs the machine disturbs
both, and each has a condition under which it counts: masks that are equal, no request that failed.
Weights are random and of official size where they matter. Exits 1 when a condition does not hold;
what does not reach its floor is marked, for on a busy machine that may be.
"""
