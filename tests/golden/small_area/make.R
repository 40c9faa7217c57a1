# Rscript make.R FOLDER_OF_IOWA_SEGMENTS, run in this folder; R 4.2, lme4 1.1-31,
# nlme 3.1-162. Components and coefficients by implementations independent of ours:
# milk_nlme.csv: sampling variances known (sigma fixed at 1, varFixed weights), ML only:
#   under REML nlme 3.1-162 gives .01777 where the likelihood has its maximum at .01855.
# iowa_lme4.csv: nested-error model, Hardin row 33 out and in.
# milk.csv is not made here: the table of Arora and Lahiri (1997), and the estimates and
#   mean squared errors of R's sae (mseFH) as the tests of samplics quote them.
library(nlme)
milk <- read.csv("milk.csv")
milk$psi <- milk$standard_error^2
milk$area <- factor(milk$area)
fit <- lme(direct ~ factor(major_area), random = ~ 1 | area, data = milk,
           weights = varFixed(~psi), method = "ML",
           control = lmeControl(sigma = 1, tolerance = 1e-12, msTol = 1e-14))
write.csv(data.frame(method = "ml", sigma2_u = as.numeric(VarCorr(fit)[1, 1]),
                     t(setNames(fixef(fit), paste0("beta_", 0:3)))),
          "milk_nlme.csv", row.names = FALSE, quote = FALSE)

segments <- read.csv(file.path(commandArgs(TRUE)[1], "segments.csv"))
control <- lme4::lmerControl(
  optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10), check.conv.grad = "ignore")
rows <- list()
for (crop in c("corn_ha", "soy_ha")) for (out in c(TRUE, FALSE)) {
  for (method in c("reml", "ml")) {
    part <- if (out) segments[!segments$outlier, ] else segments
    fit <- lme4::lmer(as.formula(paste(crop, "~ corn_pixels + soy_pixels + (1 | county)")),
                      data = part, REML = method == "reml", control = control)
    rows[[length(rows) + 1]] <- data.frame(
      response = crop, row_33_out = out, method = method,
      sigma2_v = as.numeric(lme4::VarCorr(fit)$county), sigma2_e = sigma(fit)^2,
      t(setNames(lme4::fixef(fit), paste0("beta_", 0:2))))
  }
}
write.csv(do.call(rbind, rows), "iowa_lme4.csv", row.names = FALSE, quote = FALSE)
