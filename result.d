result.o: src/redis/result.c include/bellwether/redis/result.h \
  include/bellwether/base/buffer.h include/bellwether/base/utf8.h \
  include/bellwether/redis/cursor.h include/bellwether/base/address.h

include/bellwether/redis/result.h:

include/bellwether/base/buffer.h:

include/bellwether/base/utf8.h:

include/bellwether/redis/cursor.h:

include/bellwether/base/address.h:
