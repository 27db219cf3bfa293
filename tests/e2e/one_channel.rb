# As one_channel.py, with Ruby's client.
#
#     one_channel.rb ipv4:HOST:PORT,HOST:PORT
require "grpc"

$stdout.sync = true

def field(number, value)
  [number << 3 | 2, value.bytesize].pack("CC") + value.b
end

def create_order(key)
  money = "\x08\xe2\x09".b + field(2, "EUR") # 1250
  place = "\x09".b + [52.52].pack("E") + "\x11".b + [13.4].pack("E")
  field(1, key) + field(2, "stock") + field(3, money) + field(4, place)
end

same = ->(bytes) { bytes }
channel = GRPC::ClientStub.new(ARGV[0], :this_channel_is_insecure)
ended = false
trap("TERM") { ended = true }
calls = []
until ended
  calls << Thread.new("ruby-#{calls.size}") do |key|
    channel.request_response("/waybill.order.v1.OrderService/CreateOrder", create_order(key), same, same,
                             deadline: Time.now + 20)
    puts "OK"
  rescue GRPC::BadStatus => e
    puts "failed #{e.class.name} #{e.details}"
  end
  sleep 0.05
end
calls.each(&:join)
puts "made #{calls.size}"
