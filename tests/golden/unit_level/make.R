# Makes expected.csv from units.csv; run with survey 4.1.1 under R 4.2.2 in this folder.
library(survey)
options(survey.lonely.psu = "adjust", digits = 17)
units <- read.csv("units.csv", colClasses = c(truth = "character", trad = "character",
                                              ml = "character"))
sizes <- tapply(units$cluster, units$stratum, function(x) length(unique(x)))
units$clusters <- as.numeric(sizes[units$stratum]) / units$fraction
units$right_ml <- as.numeric(units$ml == units$truth)
units$right_trad <- as.numeric(units$trad == units$truth)
units$gap <- units$right_ml - units$right_trad
units$error <- abs(units$imputed - units$y)
units$square <- (units$imputed - units$y)^2
units$bias <- units$imputed - units$y
designs <- list(
  plain = svydesign(~cluster, strata = ~stratum, weights = ~weight, data = units,
                    nest = TRUE),
  fpc = svydesign(~cluster, strata = ~stratum, weights = ~weight, data = units,
                  fpc = ~clusters, nest = TRUE)
)
rows <- list()
keep <- function(design, quantity, value, se, df = NA, lower = NA, upper = NA) {
  rows[[length(rows) + 1]] <<- data.frame(
    design = design, quantity = quantity, value = as.numeric(value),
    se = as.numeric(se), df = df, lower = lower, upper = upper)
}
for (name in names(designs)) {
  d <- designs[[name]]
  for (code in sort(unique(units$truth))) {
    units$true <- as.numeric(units$truth == code)
    units$predicted <- as.numeric(units$ml == code)
    units$hit <- units$true * units$predicted
    units$hits <- 2 * units$hit
    units$both <- units$true + units$predicted
    d$variables <- units
    for (m in list(c("precision", "hit", "predicted"), c("recall", "hit", "true"),
                   c("f1", "hits", "both"))) {
      r <- svyratio(as.formula(paste0("~", m[2])), as.formula(paste0("~", m[3])), d)
      keep(name, paste(m[1], code), coef(r), SE(r))
    }
    if (code == "0111") {
      s <- subset(d, truth == code)
      ci <- svyciprop(~right_ml, s, method = "beta", df = degf(s))
      lg <- svyciprop(~right_ml, s, method = "logit", df = degf(s))
      keep(name, "recall beta 0111", ci, SE(svymean(~right_ml, s)), degf(s),
           attr(ci, "ci")[1], attr(ci, "ci")[2])
      keep(name, "recall logit 0111", lg, SE(svymean(~right_ml, s)), degf(s),
           attr(lg, "ci")[1], attr(lg, "ci")[2])
    }
  }
  units$f_truth <- factor(units$truth); units$f_ml <- factor(units$ml)
  d$variables <- units
  k <- svykappa(~f_truth + f_ml, d)
  keep(name, "kappa", coef(k), SE(k))
  for (dom in c("d1", "d2", "d3")) {
    s <- subset(d, domain == dom)
    m <- svymean(~right_ml, s)
    ci <- svyciprop(~right_ml, s, method = "beta", df = degf(s))
    keep(name, paste("accuracy", dom), m, SE(m), degf(s), attr(ci, "ci")[1],
         attr(ci, "ci")[2])
    g <- svymean(~gap, s)
    t <- confint(g, df = degf(s))
    keep(name, paste("gap", dom), g, SE(g), degf(s), t[1], t[2])
    m <- svymean(~error, s)
    keep(name, paste("mae", dom), m, SE(m), degf(s))
    r <- svyratio(~bias, ~y, s)
    keep(name, paste("relative bias", dom), coef(r), SE(r), degf(s))
    t <- svytotal(~y + imputed, s)
    b <- svycontrast(t, c(y = -1, imputed = 1))
    keep(name, paste("total", dom), coef(t)["imputed"], SE(t)["imputed"], degf(s))
    keep(name, paste("total difference", dom), b, SE(b), degf(s))
    m <- svymean(~square, s)
    root <- svycontrast(m, quote(sqrt(square)))
    keep(name, paste("rmse", dom), root, SE(root), degf(s))
  }
  for (code in sort(unique(units$truth))) {
    units$by_truth <- as.numeric(units$truth == code) * units$y
    units$by_ml <- as.numeric(units$ml == code) * units$y
    units$by_gap <- units$by_ml - units$by_truth
    d$variables <- units
    r <- svyratio(~by_ml, ~y, d)
    keep(name, paste("share", code), coef(r), SE(r), degf(d))
    r <- svyratio(~by_gap, ~y, d)
    keep(name, paste("share difference", code), coef(r), SE(r), degf(d))
  }
  g <- svymean(~gap, d)
  t <- confint(g, df = degf(d))
  keep(name, "gap", g, SE(g), degf(d), t[1], t[2])
}
write.csv(do.call(rbind, rows), "expected.csv", row.names = FALSE)
