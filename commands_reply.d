commands_reply.o: src/http/commands_reply.c \
  include/bellwether/base/memory.h include/bellwether/http/render.h \
  include/bellwether/base/address.h \
  include/bellwether/topology/snapshot.h include/bellwether/base/pulse.h \
  include/bellwether/topology/decide.h \
  include/bellwether/topology/state.h \
  include/bellwether/topology/timeline.h \
  include/bellwether/redis/result.h include/bellwether/base/buffer.h \
  src/http/commands.h src/http/access.h include/bellwether/base/secret.h \
  include/bellwether/http/worker.h include/bellwether/base/loop.h \
  include/bellwether/redis/pool.h include/bellwether/metrics/metrics.h \
  include/bellwether/metrics/list.h include/bellwether/redis/batch.h \
  include/bellwether/redis/commands.h include/bellwether/topology/news.h \
  src/http/parts.h include/bellwether/http/query.h \
  include/bellwether/http/router.h src/http/response.h \
  src/http/problem.h

include/bellwether/base/memory.h:

include/bellwether/http/render.h:

include/bellwether/base/address.h:

include/bellwether/topology/snapshot.h:

include/bellwether/base/pulse.h:

include/bellwether/topology/decide.h:

include/bellwether/topology/state.h:

include/bellwether/topology/timeline.h:

include/bellwether/redis/result.h:

include/bellwether/base/buffer.h:

src/http/commands.h:

src/http/access.h:

include/bellwether/base/secret.h:

include/bellwether/http/worker.h:

include/bellwether/base/loop.h:

include/bellwether/redis/pool.h:

include/bellwether/metrics/metrics.h:

include/bellwether/metrics/list.h:

include/bellwether/redis/batch.h:

include/bellwether/redis/commands.h:

include/bellwether/topology/news.h:

src/http/parts.h:

include/bellwether/http/query.h:

include/bellwether/http/router.h:

src/http/response.h:

src/http/problem.h:
