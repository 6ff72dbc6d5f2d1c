# Prints n samples, one every 10 s from the unix second `first` on, each 0 to 3 s late, as CSV. With
# provenance=1 it prints commands for `redis-cli --pipe`, with a bid 2 % below each price.
# kind=walk: each price differs from the last one by up to 0.1 %, all steps equally likely.
# kind=market: 40 % of the prices differ from the last one, by normally distributed steps with a
# standard deviation of 0.03 %.

function step(    size) {
    if (kind == "walk") return (2 * rand() - 1) * 0.001
    size = sqrt(-2 * log(1 - rand())) # Box-Muller transform
    return size * cos(6.283185307179586 * rand()) * 0.0003
}

BEGIN {
    srand(1)
    price = 85000000
    format = kind == "walk" ? "%.1f" : "%.2f"
    if (!provenance) print "timestamp,price"
    for (i = 0; i < n; i++) {
        if (kind == "walk" || i == 0 || rand() < 0.4) {
            change = step()
            # Keeps the price realistic over millions of steps.
            if (price > 170000000 && change > 0 || price < 42500000 && change < 0) change = -change
            price *= 1 + change
            ask = sprintf(format, price)
            if (provenance) bid = sprintf(format, price * 0.98)
        }
        second = first + i * 10 + int(rand() * 4)
        if (provenance) {
            printf "ZADD prices %d %s:%d\n", second, ask, second
            printf "HSET {prices}:provenance:%d %d buenbit:%s:%s\n", second - second % 3600, second, ask, bid
        } else {
            printf "%d,%s\n", second, ask
        }
    }
}
