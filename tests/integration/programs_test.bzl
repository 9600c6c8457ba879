"""Tests of the programs themselves."""

def programs_test(name, data = [], env = {}, **kwargs):
    """A cc_test that runs weft-coordinator and weftd.

    Args:
      name: of the test.
      data: what else it needs.
      env: more variables; those that say where the programs are (harness.h) are set.
      **kwargs: as for cc_test.
    """
    native.cc_test(
        name = name,
        size = "medium",
        data = data + [
            "//server/coordinator:weft-coordinator",
            "//server/node:weftd",
        ],
        env = dict(
            env,
            WEFTD = "$(rootpath //server/node:weftd)",
            WEFT_COORDINATOR = "$(rootpath //server/coordinator:weft-coordinator)",
        ),
        # As .bazelrc says.
        tags = ["no-tsan"],
        **kwargs
    )
