batch.o: src/redis/batch.c src/redis/batch_internal.h \
  include/bellwether/redis/batch.h include/bellwether/base/buffer.h \
  include/bellwether/base/memory.h

src/redis/batch_internal.h:

include/bellwether/redis/batch.h:

include/bellwether/base/buffer.h:

include/bellwether/base/memory.h:
