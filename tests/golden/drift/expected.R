# Writes expected.csv from units.csv and audit.csv; R 4.2.2, survey 4.1.1.
library(survey)
units <- read.csv("units.csv", colClasses = c(code = "character"), na.strings = "")
audit <- read.csv("audit.csv")
rows <- list()
add <- function(quantity, value) {
  rows[[length(rows) + 1]] <<- data.frame(quantity, value = sprintf("%.12g", value))
}

# Rao-Scott: covariances of both periods, then Satterthwaite's tail of the sum.
codes <- c("01", "02", "03", "04")
side <- function(period) {
  rows <- units[units$period == period, ]
  design <- svydesign(ids = ~cluster, weights = ~weight, data = rows)
  part <- subset(design, !is.na(code))
  part <- update(part, code = factor(code, levels = codes))
  svymean(~code, part)
}
old <- side("old"); new <- side("new")
V <- vcov(old) + vcov(new)
for (i in 1:4) for (j in 1:4) {
  add(sprintf("covariance old %d %d", i, j), vcov(old)[i, j])
}
pooled <- (coef(old) + coef(new)) / 2
Q <- sum((coef(new) - coef(old))^2 / pooled)
lambda <- eigen(diag(1 / sqrt(pooled)) %*% V %*% diag(1 / sqrt(pooled)))$values
lambda <- lambda[lambda > 1e-12 * max(lambda)]
add("Q", Q)
add("Q p satterthwaite", pchisqsum(Q, rep(1, length(lambda)), lambda,
                                   lower.tail = FALSE, method = "satterthwaite"))

# Plain tests of the same units.
x_old <- units$x[units$period == "old"]; x_new <- units$x[units$period == "new"]
ks <- ks.test(x_old, x_new, exact = FALSE)
add("ks statistic", ks$statistic); add("ks p", ks$p.value)
chi <- chisq.test(table(units$period, units$code), correct = FALSE)
add("chi statistic", chi$statistic); add("chi p", chi$p.value)

# Rao's score test that the coefficients changed with the period.
h0 <- glm(y ~ qlogis(p) + x1 + x2, binomial, audit)
h1 <- glm(y ~ (qlogis(p) + x1 + x2) * period, binomial, audit)
rao <- anova(h0, h1, test = "Rao")
add("rao statistic", rao$Rao[2]); add("rao p", rao$`Pr(>Chi)`[2])
write.csv(do.call(rbind, rows), "expected.csv", row.names = FALSE, quote = FALSE)
