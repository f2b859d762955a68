test_commands_scan.o: tests/integration/test_commands_scan.c \
  tests/integration/../support/commands.h \
  tests/integration/../support/daemon.h \
  tests/integration/../support/cluster.h \
  tests/integration/../support/process.h \
  tests/integration/../support/http.h \
  tests/integration/../support/scene.h

tests/integration/../support/commands.h:

tests/integration/../support/daemon.h:

tests/integration/../support/cluster.h:

tests/integration/../support/process.h:

tests/integration/../support/http.h:

tests/integration/../support/scene.h:
