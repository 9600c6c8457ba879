"""Tests of the programs themselves."""

def programs_test(name, data = [], env = {}, **kwargs):
    """A cc_test that runs weft-coordinator, weftd and weft.

    Args:
      name: of the test.
      data: what else it needs.
      env: more variables; those that say where the programs are (harness.h, cli.h) are set.
      **kwargs: as for cc_test.
    """
    native.cc_test(
        name = name,
        size = "medium",
        data = data + [
            "//client/cli:weft",
            "//server/coordinator:weft-coordinator",
            "//server/node:weftd",
        ],
        env = dict(
            env,
            WEFT = "$(rootpath //client/cli:weft)",
            WEFTD = "$(rootpath //server/node:weftd)",
            WEFT_COORDINATOR = "$(rootpath //server/coordinator:weft-coordinator)",
        ),
        # As .bazelrc says.
        tags = ["no-tsan"],
        **kwargs
    )
