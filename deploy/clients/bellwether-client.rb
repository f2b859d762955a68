#!/usr/bin/env ruby
# Who is the master? Asked of bellwether with nothing but Ruby's standard library.
#
#     bellwether-client.rb [ask|wait|follow [URL [NAME]]]
#
# `ask` prints the address once, `wait` follows it with long polls, `follow` with the stream of events.
require "json"
require "net/http"

SILENCE = 45 # seconds: over the 30 of a wait, and the 15 at which a silent stream sends a comment
$stdout.sync = true

class Refused < StandardError
  attr_reader :retry_after

  def initialize(answer)
    super("status #{answer.code}")
    @retry_after = answer["Retry-After"].to_i
  end
end

# 200, or 503 while there is no master; all else (a limit, a name that nobody knows yet) is Refused.
def get(url, headers = {})
  uri = URI(url)
  options = { use_ssl: uri.scheme == "https", open_timeout: 2, read_timeout: SILENCE, max_retries: 0 }
  Net::HTTP.start(uri.hostname, uri.port, nil, options) do |http| # nil: a proxy would cut what waits
    http.request_get(uri.request_uri, headers) do |answer|
      raise Refused, answer unless answer.code == "200" || (answer.code == "503" && answer["X-Bellwether-Index"])

      yield answer
    end
  end
end

# Each answer comes when something about the master has changed, or the daemon was started again.
def wait(base, name, _seen)
  query = ""
  loop do
    last = query
    get("#{base}/masters/#{name}#{query}") do |answer|
      yield answer.code == "200" ? JSON.parse(answer.read_body)["address"] : nil
      query = "?wait=30s&index=#{answer["X-Bellwether-Index"]}&instance=#{answer["X-Bellwether-Instance"]}"
    end
    sleep rand if query == last # nothing new, as when the daemon is about to stop: do not spin
  end
end

# A stream that broke off goes on behind the last event that was seen.
def follow(base, name, seen)
  get("#{base}/events?master=#{name}", seen) do |answer|
    text = +""
    answer.read_body do |chunk|
      text << chunk
      while (event = text.slice!(/\A.*?\n\n/m))
        of = event.scan(/^(\w+): (.*)$/).to_h
        seen["Last-Event-ID"] = of["id"] if of["id"]
        next unless of["event"] == "master"

        master = JSON.parse(of["data"])
        yield %w[ok unverified].include?(master["state"]) ? master["address"] : nil
      end
    end
  end
  raise EOFError, "the stream ended"
end

mode, base, name = ARGV + ["ask", "http://127.0.0.1:8380", "mymaster"].drop(ARGV.size)
unless ARGV.size <= 3 && %w[ask wait follow].include?(mode)
  warn "usage: bellwether-client.rb [ask|wait|follow [URL [NAME]]]"
  exit 2
end
current, failures, seen = nil, 0, {}
loop do # again and again, with jitter: all clients lose a daemon at the same moment
  began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  send(mode == "follow" ? :follow : :wait, base, name, seen) do |address|
    puts address if address && address != current # here your Redis client would connect anew; nil: there is no master now
    current = address
    exit if address && mode == "ask"
  end
rescue StandardError => error
  warn "again soon: #{error.message}"
  failures = Process.clock_gettime(Process::CLOCK_MONOTONIC) - began > 5 ? 0 : [failures + 1, 5].min
  sleep (error.is_a?(Refused) ? error.retry_after : 0) + rand(0.05..0.2 * 2**failures)
end
