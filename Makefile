# Bellwether. GNU make; `make help` lists the targets.
#
# One file, not recursive: rules for every folder are here. `make test` calls this file again, once
# for each sanitizer, because a sanitizer's objects live in a folder of their own.
#
# Variables: V=1 (show commands), CC, CFLAGS, LDFLAGS, SANITIZE=address,undefined or thread, STATIC=1,
# PREFIX, DESTDIR, FUZZ_SECONDS, TEST_JOBS, TEST_SECONDS (the bound of a suite).

VERSION := 0.1.0

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
TEST_JOBS ?= 6
SANITIZE ?=
STATIC ?=

comma := ,
empty :=
space := $(empty) $(empty)

# build/, build/asan-ubsan/, build/tsan/, build/static/. B=build/other builds beside others who work in the same tree.
B := build
O := $(B)$(if $(SANITIZE),/$(subst thread,tsan,$(subst undefined,ubsan,$(subst address,asan,$(subst $(comma),-,$(SANITIZE))))))
ifneq ($(STATIC),)
ifneq ($(SANITIZE),)
$(error A sanitizer is no static library: STATIC and SANITIZE do not go together)
endif
O := $(B)/static
DEPS_MK := build/static/deps.mk
endif
GEN := $(B)/gen

CFLAGS ?= $(if $(SANITIZE),-O1,-O2) -g
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
# Sanitizers have their own checks; _FORTIFY_SOURCE is for optimized code only.
HARDENING := $(if $(SANITIZE),-fstack-protector-strong,$(shell deploy/build/hardening.sh $(CC)))
ifneq ($(or $(filter -O0,$(CFLAGS)),$(if $(filter -O%,$(CFLAGS)),,none)),)
HARDENING := $(filter-out -D_FORTIFY_SOURCE=%,$(HARDENING))
endif
# On ARM a char has no sign unless it is told to.
LANGUAGE := -std=c17 -D_GNU_SOURCE -pthread -fsigned-char
INCLUDES := -Iinclude -Isrc -I$(GEN)
ALL_CFLAGS = $(LANGUAGE) $(WARNINGS) $(HARDENING) -fno-omit-frame-pointer -fPIE $(INCLUDES) $(DEPS_CFLAGS) $(CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined)
ALL_LDFLAGS = -pthread $(if $(STATIC),-static-pie,-pie) -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

PKG_CONFIG := PKG_CONFIG_PATH=$(CURDIR)/build/deps/lib/pkgconfig:$(PKG_CONFIG_PATH) pkg-config
UNIT_LIBS = $(shell $(PKG_CONFIG) --libs criterion)
INTEGRATION_CFLAGS = $(shell $(PKG_CONFIG) --cflags libcurl)
INTEGRATION_LIBS = $(shell $(PKG_CONFIG) --libs criterion libcurl jansson) -lm

# Sources: whatever is there. main.c is not in the archive, so that tests can link the rest.
ALL_SOURCES := $(shell find src -name "*.c" | LC_ALL=C sort)
LIB_SOURCES := $(filter-out src/daemon/main.c,$(ALL_SOURCES))
UNIT_SOURCES := $(wildcard tests/unit/*.c tests/unit/*/*.c tests/sim/*.c)
INTEGRATION_SOURCES := $(wildcard tests/integration/*.c tests/support/*.c)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SOURCES := $(wildcard tests/bench/*.c)
HEADERS := $(wildcard include/bellwether/*.h include/bellwether/*/*.h tests/*/*.h)
FORMATTED := $(ALL_SOURCES) $(UNIT_SOURCES) $(INTEGRATION_SOURCES) tests/support/faults/inject.c $(wildcard tests/fuzz/*.c) $(BENCH_SOURCES) $(HEADERS) $(shell find src -name "*.h" | LC_ALL=C sort)

object = $(patsubst %.c,$(O)/obj/%.o,$(1))
fuzz_object = $(patsubst %.c,$(B)/fuzz/obj/%.o,$(1))
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,$(B)/fuzz/%,$(FUZZ_SOURCES))
# One driver, which uses what the integration tests use, and the peers that it measures against.
BENCH_PEERS := $(wildcard tests/bench/*_peer.c)
BENCH_DRIVER := $(filter-out $(BENCH_PEERS),$(BENCH_SOURCES)) $(wildcard tests/support/*.c)
BENCH_TARGETS := $(B)/bench/bench $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_PEERS))
LIB := $(O)/libbellwether.a
DAEMON := $(O)/bellwether

# As many jobs as processors, unless the caller says something else.
ifeq ($(MAKELEVEL)$(shell tr '\0' ' ' </proc/$$PPID/cmdline 2>/dev/null | grep -E ' (-j|--jobs)'),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
MAKEFLAGS += --no-print-directory -r
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @echo "  $(1)"
endif

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

##@ Building

all: $(DAEMON) ## build/bellwether (with SANITIZE=… or STATIC=1 in a folder of its own)

deps: ## install Debian packages that are missing, build hiredis and libmicrohttpd into build/deps
	$(Q)deploy/build/deps.sh build
	$(Q)deploy/build/deps.sh test

# The libraries' flags, of which another machine has others. Targets for strangers install what is missing; plain `make` only says so.
DEPS_MK ?= build/deps.mk
ifneq ($(filter-out deps arm64 clean distclean help format dist uninstall,$(or $(MAKECMDGOALS),all)),)
include $(DEPS_MK)
endif
build/deps.mk: deploy/build/deps.sh
	$(Q)deploy/build/deps.sh $(if $(filter test test-sdks demo check bench fuzz valgrind deb test-deb,$(MAKECMDGOALS)),build,probe)

build/static/deps.mk: deploy/build/deps.sh
	$(Q)CC='$(CC)' deploy/build/deps.sh static

test-deps: build/deps.mk
	$(Q)deploy/build/deps.sh test

# What can't be had costs its own tests only.
client-deps: test-deps
	$(Q)deploy/build/deps.sh clients

demo-deps: build/deps.mk
	$(Q)deploy/build/deps.sh demo

valgrind-deps: build/deps.mk
	$(Q)deploy/build/deps.sh valgrind

bench-deps: build/deps.mk
	$(Q)deploy/build/deps.sh bench

sdk-deps: test-deps
	$(Q)deploy/build/deps.sh sdks

# Objects depend on how they are compiled: the stamp changes when compiler or flags do.
define stamp_rule
$(1): FORCE
	@mkdir -p $$(@D); printf '%s\n' "$$(call $(2))" >$$@.new; \
	if cmp -s $$@.new $$@; then rm $$@.new; else mv $$@.new $$@; fi
endef
compile_flags = $(CC) $(ALL_CFLAGS)
# A source file that went away must not live on in what it was linked into.
link_flags = $(CC) $(ALL_LDFLAGS) $(DEPS_LIBS) $(UNIT_SOURCES) $(INTEGRATION_SOURCES)
archive_members = $(LIB_SOURCES)
fuzz_flags = $(CLANG) $(FUZZ_CFLAGS)
# What `make dist` packed has .release, whose first line is its second; elsewhere git tells the commit, and whether there is more.
RELEASED := $(shell head -n 1 .release 2>/dev/null)
version_text = $(VERSION) $(if $(RELEASED),release,$(shell [ -e .git ] && git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown))
$(eval $(call stamp_rule,$(O)/.compile,compile_flags))
$(eval $(call stamp_rule,$(O)/.link,link_flags))
$(eval $(call stamp_rule,$(O)/.archive,archive_members))
$(eval $(call stamp_rule,$(B)/fuzz/.archive,archive_members))
$(eval $(call stamp_rule,$(B)/fuzz/.compile,fuzz_flags))
$(eval $(call stamp_rule,$(GEN)/.version,version_text))

$(GEN)/version.h: $(GEN)/.version
	@read -r version commit <$<; printf '%s\n' '/* Written by the Makefile. */' '#ifndef BELLWETHER_GEN_VERSION_H' \
		'#define BELLWETHER_GEN_VERSION_H' "#define BELLWETHER_VERSION \"$$version\"" \
		"#define BELLWETHER_COMMIT \"$$commit\"" '#endif' >$@

# openapi.yaml and the status page as C arrays.
EMBED = deploy/build/embed.sh embedded_$(1) $(2) bellwether/http/embedded.h
$(GEN)/embedded.c: $(wildcard openapi.yaml src/http/render/page/*) deploy/build/embed.sh deploy/build/embed-page.sh Makefile
	$(call say,GEN     $@)
	$(Q)mkdir -p $(@D)
	$(Q)deploy/build/embed-page.sh src/http/render/page $(GEN)/page
	$(Q){ $(call EMBED,openapi,openapi.yaml) && $(call EMBED,page_head,$(GEN)/page.head) && \
		$(call EMBED,page_tail,$(GEN)/page.tail) && $(call EMBED,page_policy,$(GEN)/page.policy); } >$@

$(O)/obj/%.o: %.c $(O)/.compile | $(GEN)/version.h
	$(call say,CC      $@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# A thread of musl has 128 KiB of stack. Sanitizers make frames larger.
$(O)/obj/src/%.o: private WARNINGS += $(if $(SANITIZE),,-Wframe-larger-than=16384)
$(O)/obj/tests/integration/%.o $(O)/obj/tests/support/%.o: private DEPS_CFLAGS += $(INTEGRATION_CFLAGS)
# Criterion's macros are not ours to fix, nor is what libc calls a socket's address.
$(O)/obj/tests/unit/%.o $(O)/obj/tests/sim/%.o $(O)/obj/tests/integration/%.o $(O)/obj/tests/bench/%.o $(O)/obj/tests/support/faults/%.o: private WARNINGS += -Wno-pedantic

$(O)/obj/gen/%.o: $(GEN)/%.c $(O)/.compile
	$(call say,CC      $@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(call object,$(LIB_SOURCES)) $(O)/obj/gen/embedded.o $(O)/.archive
	$(call say,AR      $@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(DAEMON): $(call object,src/daemon/main.c) $(LIB) $(O)/.link
	$(call say,LD      $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(DEPS_LIBS)

# The daemon once more, which meets with refusals on order: tests/support/faults.h.
FAULTY_ALLOCATORS := $(foreach f,malloc calloc realloc reallocarray strdup,--redefine-sym $(f)=faulty_$(f))
FAULTY_DEPS := $(patsubst build/deps/lib/%,$(O)/faults/%,$(wildcard build/deps/lib/*.a))

$(O)/faults/%.a: build/deps/lib/%.a
	$(Q)mkdir -p $(@D)
	$(Q)objcopy $(FAULTY_ALLOCATORS) $< $@

$(O)/faults/libbellwether.a: $(LIB)
	$(Q)mkdir -p $(@D)
	$(Q)objcopy $(FAULTY_ALLOCATORS) $< $@

$(DAEMON)-faults: $(call object,src/daemon/main.c tests/support/faults/inject.c) $(O)/faults/libbellwether.a $(FAULTY_DEPS) $(O)/.link
	$(call say,LD      $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %/libbellwether.a,$^) -L$(O)/faults $(DEPS_LIBS)

# The manual: Markdown, made roff by awk, and HTML of that, with the anchors that `help` names, where mandoc is.
MAN_PAGES := $(patsubst deploy/man/%.md,$(B)/man/%,$(wildcard deploy/man/*.md))
MAN_HTML := $(addsuffix .html,$(MAN_PAGES))
man_date = $(shell date -u -d "@$${SOURCE_DATE_EPOCH:-$(or $(RELEASED),$$(git log -1 --format=%ct 2>/dev/null || date +%s))}" +%F)

$(B)/man/options: $(B)/bellwether
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/bellwether --man-options >$@

MAN_ROFF = awk -f deploy/man/man.awk -v version=$(VERSION) -v date=$(man_date) -v options=$(B)/man/options
$(MAN_PAGES) $(MAN_HTML): deploy/man/man.awk $(B)/man/options $(GEN)/.version

$(MAN_PAGES): $(B)/man/%: deploy/man/%.md
	$(call say,MAN     $@)
	$(Q)$(MAN_ROFF) $< >$@

# mandoc's own anchors make way for those of the Markdown.
$(MAN_HTML): $(B)/man/%.html: deploy/man/%.md
	$(call say,HTML    $@)
	$(Q)$(MAN_ROFF) -v anchors=yes $< | mandoc -T html >$@.new
	$(Q)sed -e 's|\(<h[12] class="S[hs]" id="\)[^"]*\(".* href="#\)[^"]*">\[\[id:\([^]]*\)]]|\1\3\2\3">|' \
		-e 's|\(<dt id="\)\([^"]*\)\(".* href="#\)[^"]*"|\1entry-\2\3entry-\2"|' \
		-e 's|<dt>\[\[id:\([^]]*\)]]\(.*\)</dt>|<dt id="\1"><a class="permalink" href="#\1">\2</a></dt>|' \
		-e 's|\[\[id:\([^]]*\)]]|<a id="\1"></a>|g' -e 's|<b>\(bellwether[a-z-]*\)</b>(\([17]\))|<a href="\1.\2.html">\1(\2)</a>|g' \
		-e 's|^  <style>|&\n    body { max-width: 52em; margin: 1em auto; font-family: sans-serif; }\n    pre { overflow-x: auto; }\n    a.permalink { color: inherit; text-decoration: none; }|' $@.new >$@
	$(Q)rm $@.new

man-html: $(MAN_HTML) ## the manual for a browser, into build/man (needs mandoc)

ifneq ($(O),$(B))
$(B)/bellwether: | $(DAEMON)
	$(Q)$(MAKE) SANITIZE= STATIC= $@
endif

# Completion for shells, of the option table as the manual's list of them.
COMPLETIONS := $(addprefix $(B)/completion/,bash zsh fish)
$(COMPLETIONS): $(B)/bellwether
	$(Q)mkdir -p $(@D)
	$(Q)$(B)/bellwether --completion $(@F) >$@

$(B)/bellwether.service: deploy/bellwether.service FORCE
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|g' $< >$@

# What is installed where, FILE=PATH; `uninstall` goes by the same list. HTML is installed where mandoc makes it. What the
# manual calls deploy/haproxy and so on goes with it.
DOC_DIR = $(PREFIX)/share/doc/bellwether
EXAMPLES := $(shell find $(addprefix deploy/,clients envoy grafana haproxy helm kubernetes nginx prometheus) -type f | LC_ALL=C sort)
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
INSTALLED = $(DAEMON)=$(PREFIX)/bin/bellwether $(B)/bellwether.service=$(PREFIX)/lib/systemd/system/bellwether.service \
	$(foreach page,$(MAN_PAGES),$(page)=$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(B)/completion/bash=$(PREFIX)/share/bash-completion/completions/bellwether \
	$(B)/completion/zsh=$(ZSH_COMPLETIONS)/_bellwether \
	$(B)/completion/fish=$(PREFIX)/share/fish/vendor_completions.d/bellwether.fish \
	$(foreach file,$(EXAMPLES),$(file)=$(DOC_DIR)/examples/$(patsubst deploy/%,%,$(file)))
INSTALLED_HTML = $(foreach page,$(MAN_HTML),$(page)=$(DOC_DIR)/$(notdir $(page)))
TO_INSTALL = $(INSTALLED) $(if $(shell command -v mandoc 2>/dev/null),$(INSTALLED_HTML))

install: $(foreach one,$(TO_INSTALL),$(firstword $(subst =, ,$(one)))) ## binary, manual, completions, systemd unit, examples (PREFIX, DESTDIR)
	$(Q)for one in $(TO_INSTALL); do \
		mode=644; [ "$${one%%=*}" != $(DAEMON) ] || mode=755; \
		echo "  INSTALL $(DESTDIR)$${one#*=}"; \
		install -Dm$$mode "$${one%%=*}" "$(DESTDIR)$${one#*=}" || exit 1; \
	done

uninstall: ## exactly that (with the same PREFIX, DESTDIR)
	$(Q)rm -f $(foreach one,$(INSTALLED) $(INSTALLED_HTML),"$(DESTDIR)$(lastword $(subst =, ,$(one)))")
	$(Q)find "$(DESTDIR)$(DOC_DIR)" -depth -type d -empty -delete 2>/dev/null || true

image-root: $(DAEMON) ## build/image-root: all that an image of the daemon needs (deploy/Containerfile)
	$(Q)deploy/build/image-root.sh $(O)/image-root $(DAEMON)

# For another machine: `arm64` builds here what runs there, into a folder of its own.
ARM64 = $(MAKE) SANITIZE= STATIC= B=build/arm64 DEPS_MK=build/arm64/deps.mk AR=aarch64-linux-gnu-ar \
	CC='aarch64-linux-gnu-gcc --sysroot=$(CURDIR)/build/arm64/sysroot'

build/arm64/deps.mk: deploy/build/deps.sh
	$(Q)deploy/build/deps.sh arm64

arm64: build/arm64/deps.mk ## the daemon and image-root for arm64, into build/arm64 (with Debian's cross compiler)
	+$(Q)$(ARM64) build/arm64/bellwether
	$(Q)STRIP=aarch64-linux-gnu-strip SYSROOT=build/arm64/sysroot QEMU=qemu-aarch64-static \
		deploy/build/image-root.sh build/arm64/image-root build/arm64/bellwether

compile_commands.json: Makefile build/deps.mk FORCE ## for editors and clang-tidy
	$(Q)deploy/build/compile-commands.sh '$(CC) $(ALL_CFLAGS) $(INTEGRATION_CFLAGS)' \
		$(ALL_SOURCES) $(UNIT_SOURCES) $(INTEGRATION_SOURCES) $(FUZZ_SOURCES) $(BENCH_SOURCES) >$@.new
	$(Q)if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

##@ Packages

TARBALL := $(B)/bellwether-$(VERSION).tar.gz

dist: ## build/bellwether-VERSION.tar.gz of what is committed; it builds without git
	$(Q)deploy/build/dist.sh $(VERSION) $(TARBALL)

deb-deps: build/deps.mk
	$(Q)deploy/build/deps.sh deb

deb: dist deb-deps ## the Debian package of that, into build/deb
	$(Q)deploy/build/deb.sh $(VERSION) $(TARBALL) $(B)/deb

test-deb: test-deps deb-deps ## that package and the RPM: built, linted, installed in a minimal Debian, started, purged (needs root)
	$(Q)tests/support/walk-deb.sh

##@ Trying it

# At a terminal the demo is a job of its own, so that Ctrl-C ends it alone and make ends well.
demo: demo-deps ## three Sentinels, three Redis nodes and bellwether, to be curled and killed (TLS=1: all over TLS)
	$(Q)$(MAKE) $(B)/bellwether
	$(Q)make_pid=$$PPID; if [ -t 0 ]; then bash -mc "deploy/demo.sh $(B)/bellwether $$make_pid; exit \$$?"; \
		else exec deploy/demo.sh $(B)/bellwether $$make_pid; fi

##@ Tests

RUN = tests/support/run.sh

$(O)/test-unit: $(call object,$(UNIT_SOURCES) tests/support/certificates.c $(if $(findstring thread,$(SANITIZE)),tests/support/tsan/arena.c)) $(LIB) $(O)/.link
	$(call say,LD      $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(DEPS_LIBS) $(UNIT_LIBS) -lm

# The tests are never sanitized where they only drive the daemon; the daemon is.
ifeq ($(O),$(B))
$(B)/test-integration: $(call object,$(INTEGRATION_SOURCES)) $(O)/.link | $(DAEMON)-faults
	$(call say,LD      $@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(DEPS_LIBS) $(INTEGRATION_LIBS)
else
# The other make comes behind this one: what both generate is one file.
$(B)/test-integration: FORCE | $(DAEMON) $(DAEMON)-faults
	$(Q)$(MAKE) SANITIZE= STATIC= $@
endif

unit: $(O)/test-unit ## unit and sim tests (SANITIZE=… works)
	$(Q)$(RUN) unit $(O) $(TEST_JOBS)

# What callers do is tried over TLS, too; what is only so in plain, in the other suites, is not.
OVER_TLS := integration_@(bad_input|http|serve|life|waiting|commands_pipeline|commands_tokens|commands_bad_input|commands_waiting|commands_exact|commands_multi|commands_scan|commands_rules|masters|status|self|probes|page)/*
OVER_TLS := $(OVER_TLS)|integration_deaf/a_reader_that_takes_nothing|integration_metrics_http/@(a_slow_reader|refused_|waiting_)*

integration: $(B)/test-integration $(DAEMON) $(DAEMON)-faults client-deps ## tests with real servers (SANITIZE=… for the daemon)
	$(Q)$(RUN) integration $(O) $(TEST_JOBS) $(B)/test-integration
	$(Q)TEST_TLS=1 TEST_FLAGS='$(or $(TEST_FLAGS),--filter=@($(OVER_TLS)))' \
		$(RUN) integration $(O) $(TEST_JOBS) $(B)/test-integration

clients: $(DAEMON) client-deps ## tests with clients of others, a browser among them (SANITIZE=… for the daemon)
	$(Q)$(RUN) clients $(O)
	$(Q)tests/support/walk.sh $(DAEMON) chart image haproxy

# Slow, and with the work of others that is no part of this tree: the caller brings checkouts of it.
test-sdks: $(DAEMON) sdk-deps ## tests of Upstash's own SDKs, beside a plain proxy: SDK_JS=PATH SDK_PY=PATH of redis-js, redis-py
	$(Q)BELLWETHER=$(O)/bellwether node tests/clients/sdks/compare.mjs

# Slow: what is tried here runs some twenty times as long.
valgrind: test-deps valgrind-deps ## what speaks to Redis and the daemon in a failover, under memcheck
	$(Q)$(MAKE) SANITIZE= $(B)/test-integration
	$(Q)$(MAKE) SANITIZE= B=$(B)/valgrind CFLAGS='-O1 -g' $(B)/valgrind/test-unit $(B)/valgrind/bellwether
	$(Q)$(RUN) valgrind $(B)/valgrind $(TEST_JOBS) $(B)/test-integration

# Each instruction is translated, so these are few: discovery, TLS to all sides, a failover with commands, probes.
ARM64_TESTS ?= @(integration_@(probe|commands_pipeline)/*|integration_tls/@(all|kill_nine_all)|integration_failover/kill_nine)
test-arm64: arm64 test-deps $(B)/test-integration ## the daemon for arm64 in some integration tests, under qemu
	$(Q)mkdir -p build/arm64/emulated
	$(Q)printf '#!/bin/sh\nexec qemu-aarch64-static -L %s %s "$$@"\n' $(CURDIR)/build/arm64/image-root \
		$(CURDIR)/build/arm64/image-root/usr/bin/bellwether >build/arm64/emulated/bellwether
	$(Q)chmod +x build/arm64/emulated/bellwether
	$(Q)TEST_PATIENCE=$${TEST_PATIENCE:-5} TEST_FLAGS='--filter=$(ARM64_TESTS)' \
		$(RUN) integration build/arm64/emulated $(TEST_JOBS) $(B)/test-integration

test-containerfile: ## what deploy/Containerfile says, done in a minimal Debian without an engine (root, debootstrap; minutes)
	$(Q)tests/support/try-containerfile.sh

# The binary that STATIC=1 makes: that it loads nothing, and what is different in it, names and what the system trusts.
test-static: test-deps $(B)/test-integration ## the daemon of STATIC=1 in some integration tests
	$(Q)$(MAKE) SANITIZE= STATIC=1 all
	$(Q)! readelf -lW $(B)/static/bellwether | grep -E 'INTERP|NEEDED'
	$(Q)TEST_FLAGS='--filter=integration_@(image|probe|names)/*' \
		$(RUN) integration $(B)/static $(TEST_JOBS) $(B)/test-integration

ifeq ($(SANITIZE),)
test: test-deps ## everything: fuzzers shortly, unit+sim plain and under both sanitizers, integration
	$(Q)$(MAKE) $(B)/bellwether $(B)/test-unit fuzz-targets
	$(Q)$(MAKE) SANITIZE=address,undefined $(B)/asan-ubsan/test-unit
	$(Q)$(MAKE) SANITIZE=thread $(B)/tsan/test-unit
	$(Q)FUZZ_SEED=1 $(RUN) fuzz $(B)/fuzz 5 $(FUZZ_TARGETS)
	$(Q)$(MAKE) unit
	$(Q)$(MAKE) SANITIZE=address,undefined unit
	$(Q)$(MAKE) SANITIZE=thread unit
	$(Q)$(MAKE) clients
	$(Q)$(MAKE) integration
else
test: test-deps
	$(Q)$(MAKE) $(DAEMON) $(O)/test-unit $(B)/test-integration
	$(Q)$(MAKE) unit
	$(Q)$(MAKE) integration
endif

# Half an hour for each suite. What was installed there stays: remove build/fresh for minimal roots again.
test-fresh: ## `make demo` and `make test` in minimal roots of Debian 12 and 13 (root, debootstrap)
	$(Q)for suite in bookworm trixie; do tests/support/fresh-machine.sh $$suite $(B)/fresh/$$suite demo test || exit 1; done

# libFuzzer is clang's; these objects share nothing with the others.
FUZZ_CFLAGS = $(LANGUAGE) $(WARNINGS) -Wno-missing-prototypes -O1 -g -fno-omit-frame-pointer $(INCLUDES) $(DEPS_CFLAGS) \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined

$(B)/fuzz/obj/%.o: %.c $(B)/fuzz/.compile | $(GEN)/version.h
	$(call say,CC      $@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/obj/gen/%.o: $(GEN)/%.c $(B)/fuzz/.compile
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz/libbellwether.a: $(call fuzz_object,$(LIB_SOURCES)) $(B)/fuzz/obj/gen/embedded.o $(B)/fuzz/.archive
	$(call say,AR      $@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

# Before the library: it replaces the resolver's threads.
$(B)/fuzz/watch $(B)/fuzz/connections: $(call fuzz_object,tests/fuzz/outside.c tests/fuzz/wire.c)
$(B)/fuzz/watch: $(call fuzz_object,tests/fuzz/watch_answers.c)
$(B)/fuzz/connections: $(call fuzz_object,tests/fuzz/http_answers.c tests/fuzz/loopback.c)
$(FUZZ_TARGETS): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/fuzz_%.o $(B)/fuzz/libbellwether.a
	$(call say,LD      $@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -pthread $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(DEPS_LIBS)

fuzz-targets: $(FUZZ_TARGETS)

fuzz: fuzz-targets ## each fuzz target for FUZZ_SECONDS (60)
	$(Q)$(RUN) fuzz $(B)/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

$(B)/bench/bench: $(patsubst %.c,$(B)/obj/%.o,$(BENCH_DRIVER)) $(B)/libbellwether.a
$(filter %_peer,$(BENCH_TARGETS)): $(B)/bench/%: $(B)/obj/tests/bench/%.o
$(BENCH_TARGETS):
	$(call say,LD      $@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DEPS_LIBS) $(INTEGRATION_LIBS)

bench: bench-deps $(B)/bellwether $(BENCH_TARGETS) ## ratios side by side on this machine, as a table; never fails a test
	$(Q)tests/bench/run.sh $(B)

##@ Looking after the source

# Stamps: a file is looked at again when its object was built again, so when it or a header changed.
TIDY := $(patsubst %.c,$(B)/check/tidy/%.ok,$(ALL_SOURCES))
ALONE := $(patsubst %.h,$(B)/check/alone/%.ok,$(HEADERS))

$(B)/check/tidy/%.ok: $(B)/obj/%.o .clang-tidy
	$(call say,TIDY    $*.c)
	$(Q)mkdir -p $(@D)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $*.c -- $(LANGUAGE) $(INCLUDES) $(DEPS_CFLAGS) >$@.log 2>&1 || \
		{ cat $@.log; exit 1; }
	$(Q)mv $@.log $@

$(B)/check/alone/%.ok: %.h $(O)/.compile | $(GEN)/version.h
	$(Q)mkdir -p $(@D)
	$(Q)printf '#include "%s"\n' $(CURDIR)/$< | \
		$(CC) $(ALL_CFLAGS) $(INTEGRATION_CFLAGS) -Wno-pedantic -MMD -MP -MF $(@:.ok=.d) -MT $@ -fsyntax-only -x c -
	$(Q)touch $@

check-cppcheck: | $(GEN)/version.h
	$(call say,CPPCHECK)
	$(Q)mkdir -p $(B)/check/cppcheck
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability,performance --inline-suppr \
		--suppress=missingIncludeSystem --suppress=legacyUninitvar --suppress=normalCheckLevelMaxBranches \
		--cppcheck-build-dir=$(B)/check/cppcheck -D_GNU_SOURCE '-DJSON_INTEGER_FORMAT="lld"' $(INCLUDES) -j $(shell nproc) $(if $(ALL_SOURCES),src)

check-format:
	$(call say,FORMAT)
	$(Q)$(if $(FORMATTED),clang-format --dry-run -Werror $(FORMATTED))

check-gates:
	$(call say,GATES)
	$(Q)tests/support/check-gates.sh
	$(Q)tests/support/check-version.sh

check-house: $(LIB)
	$(call say,HOUSE)
	$(Q)node tests/support/check-house.mjs $(O)/obj/src

house: $(LIB) ## sizes and circles of src's files, as a table
	$(Q)node tests/support/check-house.mjs $(O)/obj/src --table

check-hardening: $(B)/bellwether
	$(call say,HARDENING)
	$(Q)tests/support/check-hardening.sh $< $(wildcard build/deps/lib/libmicrohttpd.a build/deps/lib/libhiredis.a)

check-documents: $(B)/bellwether $(MAN_PAGES)
	$(call say,DOCUMENTS)
	$(Q)tests/support/check-documents.sh $(B)/bellwether $(B)/man/bellwether.1
	$(Q)mandoc -T lint -W warning $(MAN_PAGES)

check-containerfile: $(B)/bellwether
	$(call say,CONTAINERFILE)
	$(Q)tests/support/check-containerfile.sh $(B)/bellwether

check-openapi: test-deps
	$(call say,OPENAPI)
	$(Q)node tests/support/check-openapi.mjs openapi.yaml

check-scripts:
	$(Q)for script in deploy/*.sh deploy/build/*.sh deploy/clients/*.sh tests/support/*.sh .ci/run; do bash -n "$$script" || exit 1; done
	$(Q)tests/support/check-run.sh

ifeq ($(SANITIZE),)
check: test-deps ## format, clang-tidy, cppcheck, headers alone, gates, documents, openapi.yaml, fuzz targets build
	$(Q)$(MAKE) check-all
endif

check-all: check-format check-gates check-house check-hardening check-scripts $(ALONE) check-cppcheck check-documents check-containerfile check-openapi fuzz-targets $(TIDY)

format: ## clang-format over every C file
	$(Q)$(if $(FORMATTED),clang-format -i $(FORMATTED))

##@ And

clean: ## all of build/ but the libraries in build/deps (make distclean: those too)
	$(Q)find build $(B) -mindepth 1 -maxdepth 1 ! -name deps ! -name deps.mk -exec rm -rf {} + 2>/dev/null || true
	$(Q)rm -f compile_commands.json

distclean: clean
	$(Q)rm -rf build tests/support/node_modules tests/clients/node_modules tests/clients/sdks/node_modules tests/bench/node_modules

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9_.-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile

FORCE:
.PHONY: all deps test-deps client-deps demo-deps bench-deps sdk-deps valgrind-deps deb-deps install uninstall dist deb test-deb test-fresh image-root arm64 man-html demo unit integration clients test-sdks valgrind test test-arm64 test-containerfile test-static fuzz fuzz-targets bench \
	check check-all check-format check-gates check-house house check-hardening check-documents check-containerfile check-openapi check-cppcheck check-scripts \
	format clean distclean help FORCE

-include $(shell find $(O)/obj $(B)/fuzz/obj $(B)/check -name '*.d' 2>/dev/null)
