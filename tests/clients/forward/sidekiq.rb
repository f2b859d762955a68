# Sidekiq, whole: `sidekiq -r` of this file works, and running it with PORT NAME hands it the work.
require "json"
require "sidekiq"

$stdout.sync = true

class Job
  include Sidekiq::Worker
  sidekiq_options retry: false

  def perform(number)
    $stdout.write("#{JSON.generate(popped: number.to_s)}\n")
  end
end

if $PROGRAM_NAME == __FILE__
  (0..).each do |n|
    begin
      Job.perform_async(n)
      puts JSON.generate(did: "push", n: n)
    rescue StandardError => e
      puts JSON.generate(failed: "#{e.class}: #{e.message}")
    end
    sleep 0.04
  end
end
