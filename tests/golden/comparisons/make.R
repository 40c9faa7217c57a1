# Makes the CSV files of this folder; run with R 4.2.2 and mitools 2.4 in this folder.
options(digits = 17)
p <- c(.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262,
       .5719, .6528, .7590, 1)
write.csv(data.frame(p = p, bh = p.adjust(p, "BH"), holm = p.adjust(p, "holm")),
          "multiple.csv", row.names = FALSE)

# Multiple imputation, with and without the degrees of freedom of complete data.
library(mitools)
rows <- list()
sets <- list(a = list(q = c(10.2, 9.7, 10.9, 10.1, 9.5), u = c(.5, .55, .48, .52, .61)),
             b = list(q = c(.31, .36, .29), u = c(.0004, .0005, .00045)))
for (name in names(sets)) for (df in c(Inf, 30)) {
  s <- sets[[name]]
  m <- MIcombine(as.list(s$q), as.list(s$u))
  v <- m$df
  if (is.finite(df)) {  # mitools leaves 1 + 1 / m out here
    k <- length(s$q)
    lambda <- (1 + 1 / k) * var(s$q) / vcov(m)[1, 1]
    observed <- (df + 1) / (df + 3) * df * (1 - lambda)
    v <- v * observed / (v + observed)
  }
  rows[[length(rows) + 1]] <- data.frame(set = name, complete_df = df, value = coef(m),
                                         se = sqrt(vcov(m)[1, 1]), df = v)
}
write.csv(do.call(rbind, rows), "imputation.csv", row.names = FALSE)

# Diebold-Mariano with the Harvey-Leybourne-Newbold factor, from acf() of base R.
set.seed(4)
e1 <- as.numeric(arima.sim(list(ma = .6), 30))
e2 <- as.numeric(arima.sim(list(ma = .6), 30)) * 1.3
write.csv(data.frame(first = e1^2, second = e2^2), "losses.csv", row.names = FALSE)
dm <- function(d, h, kernel) {
  T <- length(d)
  g <- acf(d, lag.max = h - 1, type = "covariance", plot = FALSE)$acf[, 1, 1]
  w <- if (kernel == "bartlett") 1 - (0:(h - 1)) / h else rep(1, h)
  v <- (2 * sum(w * g) - g[1]) / T
  k <- sqrt((T + 1 - 2 * h + h / T * (h - 1)) / T)
  s <- mean(d) / sqrt(v) * k
  c(s, 2 * pt(-abs(s), T - 1))
}
rows <- list()
for (h in 1:4) for (kernel in c("rectangular", "bartlett")) {
  r <- dm(e1^2 - e2^2, h, kernel)
  rows[[length(rows) + 1]] <- data.frame(horizon = h, kernel = kernel, statistic = r[1],
                                         p = r[2])
}
write.csv(do.call(rbind, rows), "diebold_mariano.csv", row.names = FALSE)

# Two one-sided t tests and a one-sided one, by t.test().
set.seed(5)
d <- round(rnorm(40, .002, .02), 4)
low <- t.test(d, mu = -.01, alternative = "greater")$p.value
high <- t.test(d, mu = .01, alternative = "less")$p.value
write.csv(data.frame(d = d), "differences.csv", row.names = FALSE)
write.csv(data.frame(low = low, high = high), "equivalence.csv", row.names = FALSE)
